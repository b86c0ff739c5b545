//go:build linux

package story

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/internal/killsweep"
	"github.com/consentry/consentry/internal/longtest"
	"github.com/consentry/consentry/sandbox"
)

// The two ends of the cable between the user's machine and the world. The
// addresses are of AS112 (RFC 7534), which sinks what goes astray.
const (
	machineAddr  = "192.31.196.1"
	worldAddr    = "192.31.196.34"
	machineAddr6 = "2620:4f:8000::1"
	worldAddr6   = "2620:4f:8000::34"
	webName      = "web.test"
	otherName    = "other.test"
	sixName      = "six.test" // has an IPv6 address only
)

// built is what all stories share.
var built struct {
	program string // the consentry binary
	image   string // OCI layout of the test image
	skip    string // why stories cannot run here
}

func TestMain(m *testing.M) {
	if hits := os.Getenv("STORY_SERVE"); hits != "" {
		fmt.Fprintln(os.Stderr, serveWeb(hits))
		os.Exit(1)
	}
	if card := os.Getenv("STORY_WATCH"); card != "" {
		fmt.Fprintln(os.Stderr, watchCard(card))
		os.Exit(1)
	}
	if port := os.Getenv("STORY_ECHO"); port != "" {
		fmt.Fprintln(os.Stderr, serveEcho(port))
		os.Exit(1)
	}
	if hits := os.Getenv("STORY_TLS"); hits != "" {
		fmt.Fprintln(os.Stderr, serveTLS(hits))
		os.Exit(1)
	}
	if os.Getenv("STORY_SWEEP") != "" {
		fmt.Fprintln(os.Stderr, killsweep.Main(os.Args[1:]))
		os.Exit(1)
	}
	if pid := os.Getenv("STORY_FRAMES"); pid != "" {
		if err := injectFrames(pid, os.Getenv("STORY_TIMES")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "story")
	if err == nil {
		err = errors.Join(prepare(dir), longtest.Only("TestRealImages", "TestABrowserInAnImage", "TestOpenClaw", "TestAnImageOfDockerd", "TestToolsForAClientOfOthers"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "story:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// prepare builds the program and the image, or says why there is nothing to do.
func prepare(dir string) error {
	if os.Getuid() != 0 {
		built.skip = "needs root: sandboxes and network namespaces are made"
		return nil
	}
	for _, tool := range []string{"ip", "dnsmasq", "docker-registry", "htpasswd", "skopeo", "mmdebstrap", "tcpdump", "tinyproxy", "microsocks"} {
		if _, err := exec.LookPath(tool); err != nil {
			built.skip = "needs the tool " + tool + ": run make deps"
			return nil
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	built.program, built.image = filepath.Join(dir, "consentry"), filepath.Join(dir, "image")
	base := filepath.Join(root, ".cache", "base.tar")
	for _, step := range [][]string{
		{"go", "build", "-o", dir + "/", "./cmd/consentry", "./cmd/consentry-agent", "./cmd/consentry-launch", "./cmd/consentry-worker", "./cmd/consentry-bpf", "./cmd/consentry-tray"},
		{"go", "build", "-o", dir + "/root/", "./attack/probe"},
		{filepath.Join(root, "scripts", "attack.sh"), filepath.Join(dir, "attack")},
		{filepath.Join(root, "scripts", "base.sh"), base},
		{"go", "run", "./tools/mkimage", "-o", built.image, "-layer", base, "-folder", dir + "/root=/", "-cmd", "python3,-m,http.server,8000", "-port", "8000"},
	} {
		cmd := exec.Command(step[0], step[1:]...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(step, " "), err, out)
		}
	}
	return nil
}

// pages of the world's web server.
func pages(hits string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		note(hits+".paths", r.URL.Path)
		note(hits+".hosts", r.Host)
		note(hits+".auth", r.Header.Get("Authorization"))
		fmt.Fprintf(w, "page of %s\n", r.Host)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for range 600 {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	})
	mux.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		for block := make([]byte, 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 2<<20))
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+otherName+"/", http.StatusFound)
	})
	return mux
}

// noteConnections writes one line into the file hits for each connection.
func noteConnections(hits string) func(net.Conn, http.ConnState) {
	return func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			note(hits, c.RemoteAddr())
		}
	}
}

// serveWeb answers in the world.
func serveWeb(hits string) error {
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	go http.ListenAndServe(":3128", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveCONNECT(w, r, hits) }))
	server := &http.Server{Handler: pages(hits), ConnState: noteConnections(hits)}
	return server.Serve(l)
}

// serveCONNECT is the proxy of the user's company: whatever it is asked for, it
// leads to the web server.
func serveCONNECT(w http.ResponseWriter, r *http.Request, hits string) {
	note(hits+".proxy", r.Host)
	out, err := net.Dial("tcp", worldAddr+":80")
	if err != nil || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	w.WriteHeader(http.StatusOK)
	conn, early, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	go func() { io.Copy(out, early); out.(*net.TCPConn).CloseWrite() }()
	io.Copy(conn, out)
}

// note adds a line to a file that the tests look at.
func note(file string, what any) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, what)
		f.Close()
	}
}

// world is one user's machine, cabled to a small internet.
type world struct {
	t             *testing.T
	machine, rest string // names of the network namespaces
	home, hits    string
	agent         *exec.Cmd
	resolver      *exec.Cmd
	env           []string
	user          *asuser.User // who runs consentry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOf(t, nil)
}

// worldOf is the world of an ordinary user; nil is root.
func worldOf(t *testing.T, user *asuser.User) *world {
	t.Helper()
	if built.skip != "" {
		t.Skip(built.skip)
	}
	id := fmt.Sprintf("cs%d", os.Getpid()%100000)
	home, err := os.MkdirTemp("", "cs") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, machine: id + "m", rest: id + "w", user: user, home: home, hits: filepath.Join(home, "hits")}
	w.env = append(os.Environ(), "CONSENTRY_HOME="+home, "DOCKER_CONFIG="+home)
	if user != nil {
		must(t, os.Chown(home, user.UID, user.UID))
		w.run(exec.Command("chmod", "-R", "a+rX", filepath.Dir(built.program)))
	}
	t.Cleanup(w.remove)
	must(t, os.WriteFile(w.resolvConf(), []byte("nameserver "+worldAddr+"\n"), 0o644))
	for _, line := range []string{
		"netns add " + w.machine, "netns add " + w.rest,
		"link add " + id + "a netns " + w.machine + " type veth peer name " + id + "b netns " + w.rest,
		"-n " + w.machine + " link set lo up", "-n " + w.rest + " link set lo up",
		"-n " + w.machine + " addr add " + machineAddr + "/24 dev " + id + "a", "-n " + w.machine + " link set " + id + "a up",
		"-n " + w.rest + " addr add " + worldAddr + "/24 dev " + id + "b", "-n " + w.rest + " link set " + id + "b up",
		"-n " + w.machine + " addr add " + machineAddr6 + "/64 dev " + id + "a nodad", "-n " + w.rest + " addr add " + worldAddr6 + "/64 dev " + id + "b nodad",
	} {
		w.run(exec.Command("ip", strings.Fields(line)...))
	}
	self, err := os.Executable()
	must(t, err)
	w.daemon(w.rest, []string{"STORY_SERVE=" + w.hits}, self)
	must(t, os.WriteFile(w.hosts(), nil, 0o644))
	w.resolver = w.daemon(w.rest, nil, "dnsmasq", "--keep-in-foreground", "--log-queries", "--log-facility=-", "--addn-hosts="+w.hosts(), "--local-ttl=0", "--no-resolv", "--no-hosts", "--bind-interfaces",
		"--listen-address="+worldAddr, "--user=root", "--pid-file=", "--address=/"+webName+"/"+worldAddr, "--address=/"+otherName+"/"+worldAddr, "--address=/"+sixName+"/"+worldAddr6, "--address=/"+registryName+"/"+worldAddr)
	w.startAgent()
	if user == nil { // an agent in a user namespace takes root for a stranger
		w.watchPosture()
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) run(cmd *exec.Cmd) string {
	w.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// hosts is a file of names that can change: see rename.
func (w *world) hosts() string { return filepath.Join(w.home, "hosts") }

func (w *world) resolvConf() string { return filepath.Join(w.home, "resolv.conf") }

// in makes a command of one of the network namespaces, whose resolver is that
// of the world. It is not run by `ip netns exec`, which hides the cgroups.
func (w *world) in(netns string, args ...string) *exec.Cmd {
	env := w.env
	if w.user != nil && args[0] == built.program {
		env = append(w.user.Env(), "CONSENTRY_HOME="+w.home, "DOCKER_CONFIG="+w.home)
		if args[1] == "agent" {
			args = w.user.Daemon(args...)
		} else {
			args = w.user.Line(args...)
		}
	}
	const script = `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	cmd := exec.Command("nsenter", append([]string{
		"--net=/run/netns/" + netns, "unshare", "--mount", "sh", "-c", script, w.resolvConf(),
	}, args...)...)
	cmd.Env = env
	return cmd
}

// daemon starts a program that is ended with the world.
func (w *world) daemon(netns string, env []string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := w.in(netns, args...)
	cmd.Env = append(cmd.Env, env...)
	log, err := os.Create(filepath.Join(w.home, filepath.Base(args[0])+".log"))
	must(w.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // a test that panics cleans nothing up
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		ended := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		ended.Stop()
	})
	return cmd
}

func (w *world) startAgent() {
	w.t.Helper()
	w.agent = w.daemon(w.machine, nil, built.program, "agent", "--foreground")
	w.untilAnswered()
}

func (w *world) untilAnswered() {
	w.t.Helper()
	w.until("the agent answers", func() bool {
		_, err := net.Dial("unix", filepath.Join(w.home, "run", "agent.sock"))
		return err == nil
	})
}

func (w *world) remove() {
	if w.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(w.home, "consentry.log"))
		w.t.Logf("agent's log:\n%s", log)
	}
	for _, ns := range []string{w.machine, w.rest} {
		exec.Command("ip", "netns", "del", ns).Run()
	}
	os.RemoveAll(w.home)
}

// cli runs a consentry command on the machine.
func (w *world) cli(args ...string) *exec.Cmd {
	if args[0] == "run" && !slices.ContainsFunc(args, isModule) && !slices.Contains(args, "--waive") && !slices.Contains(args, "--isolation") {
		args = slices.Insert(slices.Clone(args), 1, "--waive", sandbox.WaiveLSM) // most kernels for tests load no LSM programs
	}
	return w.in(w.machine, append([]string{built.program}, args...)...)
}

func isModule(arg string) bool { return strings.HasSuffix(arg, ".wasm") }

// result is how a command ended.
type result struct {
	code     int
	out, err string
	took     time.Duration
}

func (w *world) result(args ...string) result {
	w.t.Helper()
	return w.start(args...).wait()
}

// running is a command that has not ended.
type running struct {
	w        *world
	cmd      *exec.Cmd
	began    time.Time
	out, err text
}

// text is what a command has written so far; it may be read meanwhile.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func (w *world) start(args ...string) *running {
	w.t.Helper()
	return w.running(w.cli(args...))
}

// command starts any program in a network namespace.
func (w *world) command(netns string, args ...string) *running {
	w.t.Helper()
	return w.running(w.in(netns, args...))
}

func (w *world) ip(args ...string) {
	w.t.Helper()
	w.run(exec.Command("ip", args...))
}

func (w *world) running(cmd *exec.Cmd) *running {
	w.t.Helper()
	r := &running{w: w, cmd: cmd, began: time.Now()}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	must(w.t, r.cmd.Start())
	return r
}

func (r *running) wait() result {
	r.w.t.Helper()
	patience := time.AfterFunc(90*time.Second, func() { r.cmd.Process.Kill() })
	defer patience.Stop()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.w.t.Fatal(err)
	}
	return result{r.cmd.ProcessState.ExitCode(), r.out.String(), r.err.String(), time.Since(r.began)}
}

// until waits for something that takes a moment.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	w.untilWithin(1, what, is)
}

// untilWithin waits many times as long.
func (w *world) untilWithin(times int, what string, is func() bool) {
	w.t.Helper()
	patience := time.Duration(times) * 20 * time.Second
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	w.t.Fatalf("%s have passed and it is not so that %s", patience, what)
}

// reached says how many connections the web server of the world has seen.
func (w *world) reached() int {
	raw, _ := os.ReadFile(w.hits)
	return bytes.Count(raw, []byte("\n"))
}
