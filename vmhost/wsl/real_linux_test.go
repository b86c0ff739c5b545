package wsl_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/router"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/drivertest"
	"github.com/consentry/consentry/vmhost/wsl"
)

// What follows runs guestinit of a distro for real, and apps in it.

const idBase = 0x31000000

// real is a world whose distro can be entered, with an image to run.
type real struct {
	*world
	driver *wsl.Driver
	host   *vmhost.Host
	layer  string
	runs   int
}

var built = sync.OnceValue(func() error {
	for program, pkg := range map[string]string{"guest": "../../cmd/consentry-guest", "probe": "../../attack/probe"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(programs, program), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", pkg, err, out)
		}
	}
	return nil
})

func newReal(t *testing.T) *real {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a distro is entered by it")
	}
	must(t, built())
	r := &real{world: newWorld(t)}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.driver = wsl.New(wsl.Config{WSL: r.program("wsl.exe"), Guest: filepath.Join(programs, "guest"), Dir: t.TempDir(), Log: log})
	r.host = vmhost.NewHost(vmhost.HostConfig{Driver: r.driver, Log: log})
	r.answers(map[string]answer{"wsl --version": {Out: goodVersions, Wide: true}, "wsl --status": {Out: goodStatus, Wide: true}})
	must(t, r.host.Check(t.Context()))
	r.layer = filepath.Join(t.TempDir(), "aa11.ext4")
	must(t, makeLayer(r.layer, filepath.Join(programs, "probe")))
	t.Cleanup(func() { must(t, r.host.Close()) })
	t.Cleanup(r.nothingLeft)
	return r
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// makeLayer makes an ext4 image of busybox and the attacks' program.
func makeLayer(path, probe string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("needs busybox (apt-get install busybox-static): %w", err)
	}
	from, to := io.Pipe()
	go func() {
		w := tar.NewWriter(to)
		for _, dir := range []string{"bin", "etc", "tmp", "home", "data"} {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
		}
		for name, file := range map[string]string{"bin/busybox": busybox, attack.ProbePath[1:]: probe} {
			raw, err := os.ReadFile(file)
			if err != nil {
				to.CloseWithError(err)
				return
			}
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(raw))})
			w.Write(raw)
		}
		for _, name := range strings.Fields("sh ls cat echo id head sed grep chmod nc nslookup sleep stat touch wc readlink hostname mkdir") {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"})
		}
		to.CloseWithError(w.Close())
	}()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(tar2ext4.ConvertTarToExt4(from, f), f.Close())
}

func (r *real) spec(script string) sandbox.Spec {
	r.runs++
	return sandbox.Spec{
		ID: fmt.Sprintf("w%dr%d", os.Getpid(), r.runs), Name: "test", Hostname: "boxed", Waived: []string{sandbox.WaiveLSM},
		Process: sandbox.Process{Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin", "HOME=/home"}},
		Image:   &sandbox.Image{Lower: []string{r.layer}, IDBase: idBase},
		Stop:    sandbox.StopRule{Grace: 2 * time.Second},
	}
}

type outcome struct {
	exit     sandbox.Exit
	out, err string
}

const runTime = 2 * time.Minute

// run starts spec and waits for its end.
func (r *real) run(spec sandbox.Spec, during func(sandbox.Instance)) (outcome, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTime)
	defer cancel()
	outR, outW, err := os.Pipe()
	must(r.t, err)
	errR, errW, err := os.Pipe()
	must(r.t, err)
	spec.Process.Stdio = [3]*os.File{nil, outW, errW}
	stdout, stderr := collect(outR), collect(errR)
	app, err := r.host.Start(ctx, spec, nil)
	if err != nil {
		return outcome{}, err
	}
	if during != nil {
		during(app)
	}
	exit, err := app.Wait(ctx)
	if err != nil {
		err = errors.Join(err, app.Stop(context.Background()))
	}
	return outcome{exit, <-stdout, <-stderr}, err
}

func collect(r *os.File) <-chan string {
	text := make(chan string, 1)
	go func() {
		defer r.Close()
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	return text
}

// nothingLeft of a run is in the machine: no process, no loop device, no cgroup.
func (r *real) nothingLeft() {
	r.t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(r.t, err)
	for _, path := range processes {
		raw, _ := os.ReadFile(path)
		if words := strings.ReplaceAll(string(raw), "\x00", " "); strings.Contains(words, r.dir) || strings.Contains(words, fmt.Sprintf("-id w%dr", os.Getpid())) {
			r.t.Errorf("process left: %s", words)
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	must(r.t, err)
	for _, path := range loops {
		raw, _ := os.ReadFile(path)
		if strings.Contains(string(raw), r.dir) {
			r.t.Errorf("%s is %s", path, raw)
		}
	}
	cards, err := net.Interfaces()
	must(r.t, err)
	for _, card := range cards {
		if strings.HasPrefix(card.Name, fmt.Sprintf("ctw%d", os.Getpid())) {
			r.t.Errorf("network card left: %s", card.Name)
		}
	}
}

// TestAppInDistro is one app and what is done with it.
func TestAppInDistro(t *testing.T) {
	r := newReal(t)
	spec := r.spec(`echo ready; id -u; hostname; ls /; while :; do sleep 0.1; done`)
	spec.Process.Args[2] = `trap "echo bye; exit 7" TERM; ` + spec.Process.Args[2]
	got, err := r.run(spec, func(app sandbox.Instance) {
		for name, check := range map[string]func(*testing.T, sandbox.Instance){
			"posture": posture, "identity": identity, "control": noControl, "pause": pause,
		} {
			t.Run(name, func(t *testing.T) { check(t, app) })
		}
		must(t, app.Stop(context.Background()))
	})
	must(t, err)
	if want := "ready\n0\nboxed\nbin\ndata\ndev\netc\nhome\n"; got.exit != (sandbox.Exit{Code: 7}) || !strings.HasPrefix(got.out, want) || !strings.HasSuffix(got.out, "bye\n") || strings.Contains(got.out, "consentry\n") {
		t.Errorf("%+v", got)
	}
}

// posture: what stands, stands; that no machine is around is said.
func posture(t *testing.T, app sandbox.Instance) {
	p, err := app.Posture(t.Context())
	must(t, errors.Join(err, p.Missing()))
	walls := map[string]sandbox.Wall{}
	for _, w := range p.Walls {
		walls[w.Name] = w
		t.Logf("%-22s %v %s", w.Name, w.Stands, w.Detail)
	}
	for _, name := range []string{"user namespace", "namespaces", "own root", "seccomp", "capabilities", "cgroup limits", "router", "nothing of Windows"} {
		if w := walls[name]; !w.Stands || !w.Required {
			t.Errorf("%s: %+v", name, w)
		}
	}
	if w, told := walls["VM boundary"]; !told || w.Stands || w.Required {
		t.Errorf("VM boundary: %+v", w)
	}
	if w := walls["eBPF LSM"]; !w.Stands && !w.Waived {
		t.Errorf("eBPF LSM: %+v", w)
	}
}

func execed(t *testing.T, app sandbox.Instance, p sandbox.Process) outcome {
	t.Helper()
	p.Env = []string{"PATH=/bin"}
	outR, outW, err := os.Pipe()
	must(t, err)
	errR, errW, err := os.Pipe()
	must(t, err)
	p.Stdio = [3]*os.File{nil, outW, errW}
	stdout, stderr := collect(outR), collect(errR)
	running, err := app.(sandbox.Execer).Exec(t.Context(), p)
	must(t, err)
	exit, err := running.Wait(t.Context())
	must(t, err)
	return outcome{exit, <-stdout, <-stderr}
}

func shell(script string) sandbox.Process { return sandbox.Process{Args: []string{"sh", "-c", script}} }

// identity: owners of the image are the app's, and root is root over nothing.
func identity(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, shell(`stat -c %u /bin/busybox; touch /home/x && stat -c %u /home/x; ls /sys/class/net | grep -c .; mkdir /proc/sys/x 2>/dev/null || echo no`))
	if got.out != "0\n0\n2\nno\n" {
		t.Errorf("%+v", got)
	}
	other := shell(`id -u; touch /home/y 2>/dev/null || echo no`)
	other.User = sandbox.User{UID: 1000, GID: 1000}
	if got := execed(t, app, other); got.out != "1000\nno\n" {
		t.Errorf("%+v", got)
	}
}

// noControl is row 42: no file of the app leads to the host but its own standard
// ones, nothing of guestinit is there to be run or looked at, and a hello into
// what it has changes nothing.
func noControl(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, shell(`
for fd in /proc/1/fd/* /proc/[0-9]*/fd/*; do
  case "$(readlink $fd 2>/dev/null)" in pipe:*|socket:*) printf 'hello' 2>/dev/null >>$fd && echo wrote >&2;; esac
done 2>/dev/null
/consentry/guest wsl run -id x -layer y 2>/dev/null || echo no guest
ls /files /var/lib/consentry /run/consentry 2>/dev/null | grep -c . || :
grep -l consentry /proc/[0-9]*/cmdline 2>/dev/null | grep -v self | head -n 1`))
	if !strings.HasPrefix(strings.ReplaceAll(got.out, "hello", ""), "no guest\n0\n") {
		t.Errorf("%+v", got)
	}
	if got := execed(t, app, shell("echo on")); got.out != "on\n" {
		t.Errorf("afterwards the guest answers %+v", got)
	}
}

func pause(t *testing.T, app sandbox.Instance) {
	p := app.(sandbox.Pauser)
	must(t, p.Pause(t.Context()))
	must(t, p.Unpause(t.Context()))
	s, err := app.(sandbox.Statser).Stats(t.Context())
	must(t, err)
	if s.Memory <= 0 || s.PIDs <= 0 {
		t.Errorf("%+v", s)
	}
}

// TestKeptInDistro: writable layer and volumes outlive a run, and a run without
// either leaves nothing.
func TestKeptInDistro(t *testing.T) {
	r := newReal(t)
	spec := r.spec(`cat /etc/kept /data/kept 2>/dev/null; echo layer >/etc/kept; echo volume >/data/kept; stat -c %u /data/kept`)
	spec.Image.Upper, spec.Image.Work = filepath.Join(r.dir, "none", "upper"), filepath.Join(r.dir, "none", "work")
	spec.Mounts = []sandbox.Mount{{Source: filepath.Join(r.dir, "volume"), Target: "/data", Volume: true}}
	for n, want := range []string{"0\n", "layer\nvolume\n0\n"} {
		got, err := r.run(spec, nil)
		must(t, err)
		if got.out != want || got.exit.Code != 0 {
			t.Errorf("run %d: %+v", n, got)
		}
	}
	spec.Image.Upper, spec.Image.Work = "", ""
	if got, err := r.run(spec, nil); err != nil || got.out != "volume\n0\n" {
		t.Errorf("in memory: %+v, %v", got, err)
	}
}

// TestDistroNeedsWaiver: what the system's kernel cannot do is done without only
// where the user said so.
func TestDistroNeedsWaiver(t *testing.T) {
	r := newReal(t)
	spec := r.spec("echo ran")
	spec.Waived = nil
	got, err := r.run(spec, nil)
	if err == nil {
		t.Logf("this kernel raises every wall: %+v", got)
		return
	}
	if !errors.Is(err, sandbox.ErrWall) || !strings.Contains(err.Error(), "--waive "+sandbox.WaiveLSM) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestInterpretersOfOthers: what another has registered with the kernel, as WSL
// does for programs of Windows in all distros, does not hold in an app. The kind
// of file registered here is nobody's.
func TestInterpretersOfOthers(t *testing.T) {
	r := newReal(t)
	busybox, err := exec.LookPath("busybox")
	must(t, err)
	registry, name := t.TempDir(), fmt.Sprintf("consentry-test-%d", os.Getpid())
	must(t, unix.Mount("binfmt_misc", registry, "binfmt_misc", 0, ""))
	defer unix.Unmount(registry, unix.MNT_DETACH)
	const magic = "CONSENTRYTEST"
	must(t, os.WriteFile(filepath.Join(registry, "register"), []byte(":"+name+":M::"+magic+"::"+busybox+":F"), 0))
	defer os.WriteFile(filepath.Join(registry, name), []byte("-1"), 0)
	file := filepath.Join(t.TempDir(), "nosuchapplet")
	must(t, os.WriteFile(file, []byte(magic+"\n"), 0o755))
	if out, err := exec.Command(file).CombinedOutput(); err == nil || !strings.Contains(string(out), "applet not found") {
		t.Fatalf("the registration does not hold outside: %q, %v", out, err)
	}
	got, err := r.run(r.spec(`echo `+magic+` >/home/nosuchapplet; chmod 755 /home/nosuchapplet; /home/nosuchapplet; echo $?`), nil)
	must(t, err)
	if strings.Contains(got.err, "applet not found") || !strings.Contains(got.err, magic) || got.out != "127\n" {
		t.Errorf("in the app: %+v", got)
	}
}

// TestWindowsInReach is row 47: a drive of Windows, or a way to start programs of
// Windows, ends the start.
func TestWindowsInReach(t *testing.T) {
	for plant, want := range map[string]string{
		plantDrive:   "files of Windows are mounted on /mnt/c",
		plantInterop: "interop server listens in this distro (/run/WSL/2_interop)",
	} {
		t.Run(plant, func(t *testing.T) {
			r := newReal(t)
			spec := r.spec("echo ran")
			must(t, os.WriteFile(filepath.Join(r.dir, plant), nil, 0o600))
			got, err := r.run(spec, nil)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(got.out, "ran") {
				t.Errorf("%+v, %v", got, err)
			}
			must(t, os.Remove(filepath.Join(r.dir, plant)))
			must(t, os.RemoveAll(filepath.Join(r.dir, "distros", wsl.Distro, "run", "WSL")))
			if got, err := r.run(spec, nil); err != nil || got.out != "ran\n" {
				t.Errorf("without it: %+v, %v", got, err)
			}
		})
	}
}

// TestNetworkOfDistro: frames go to the router over the connection, which holds,
// asks, and dials; and nothing else leads out.
func TestNetworkOfDistro(t *testing.T) {
	r := newReal(t)
	var heard sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		heard.Store(q.Host, true)
		io.WriteString(w, "from outside")
	}))
	defer server.Close()
	broker := &onlyGranted{to: server.Listener.Addr().String()}
	conn, link, err := fdwire.Pair()
	must(t, err)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- route(ctx, conn, broker) }()
	spec := r.spec(`
get() { a=$(nslookup $1 10.0.2.2 2>/dev/null | sed -n 's/^Address.* \(198\.1[89]\.[0-9.]*\).*/\1/p' | head -n 1); echo $1 ${a%%.*}; printf "GET / HTTP/1.0\r\nHost: $1\r\n\r\n" | nc -w 20 $a 80 | sed -n '$p'; }
get granted.example
get other.example
nc -w 2 1.1.1.1 80 </dev/null || echo refused`)
	spec.Link = link
	got, err := r.run(spec, nil)
	must(t, err)
	if want := "granted.example 198\nfrom outside\nother.example 198\nrefused\n"; got.out != want {
		t.Errorf("%+v", got)
	}
	if _, ok := heard.Load("granted.example"); !ok {
		t.Error("the server outside heard nothing")
	}
	if asked := strings.Join(broker.asked(), " "); asked != "tcp granted.example:80 tcp other.example:80 tcp 1.1.1.1:80" {
		t.Errorf("asked: %s", asked)
	}
	select {
	case err := <-ended:
		t.Logf("router: %v", err)
	case <-time.After(10 * time.Second):
		t.Error("the wire has no end")
	}
}

// route is what a worker does.
func route(ctx context.Context, link *fdwire.Conn, broker sandbox.Broker) error {
	defer link.Close()
	files, err := link.Recv(&struct{}{})
	if err != nil {
		return err
	}
	card, err := router.CardLink(files[0])
	if err != nil {
		return err
	}
	r, err := router.New(router.Config{Link: card, Broker: broker, Hostname: "boxed"})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// onlyGranted lets one name through, to where the test listens.
type onlyGranted struct {
	to string

	mu    sync.Mutex
	flows []string
}

func (b *onlyGranted) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flows
}

func (b *onlyGranted) Dial(_ context.Context, f sandbox.Flow) (net.Conn, error) {
	b.mu.Lock()
	b.flows = append(b.flows, fmt.Sprintf("%s %s:%d", f.Network, f.Host, f.Port))
	b.mu.Unlock()
	if f.Host != "granted.example" {
		return nil, sandbox.ErrDenied
	}
	return net.Dial("tcp", b.to)
}

func (*onlyGranted) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrDenied
}
func (*onlyGranted) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

// relayer is what an app in a distro can do for portproxy.
type relayer interface {
	Relay(context.Context, uint16) (netip.AddrPort, <-chan struct{}, error)
}

// TestRelayOfDistro: who connects to the distro's own address reaches the app,
// until the relay is ended, and the app reaches nothing by it.
func TestRelayOfDistro(t *testing.T) {
	r := newReal(t)
	must(t, os.WriteFile(filepath.Join(r.dir, ownNetwork), nil, 0o600))
	spec := r.spec(`echo ready; while :; do echo "from the app" | nc -l -p 8080; done & sleep 600`)
	_, err := r.run(spec, func(app sandbox.Instance) {
		ctx, cancel := context.WithCancel(t.Context())
		address, ended, err := app.(relayer).Relay(ctx, 8080)
		must(t, err)
		if address.Addr().String() != distroAddress {
			t.Errorf("it listens on %s", address)
		}
		pid := r.guestOf(spec.ID)
		connect := func() string {
			out, _ := exec.Command("nsenter", "-t", pid, "-n", "busybox", "nc", "-w", "5", address.Addr().String(), fmt.Sprint(address.Port())).CombinedOutput()
			return string(out)
		}
		got := ""
		for range 100 { // nc listens anew after each connection
			if got = connect(); got == "from the app\n" {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if got != "from the app\n" {
			t.Errorf("through the relay came %q", got)
		}
		if got := execed(t, app, shell("nc -w 2 "+address.Addr().String()+" "+fmt.Sprint(address.Port())+" </dev/null || echo no")); !strings.HasSuffix(got.out, "no\n") {
			t.Errorf("from the app: %+v", got)
		}
		cancel()
		<-ended
		for range 100 { // the guest hears of it a moment later
			if got = connect(); strings.Contains(got, "refused") {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if !strings.Contains(got, "refused") {
			t.Errorf("after its end: %q", got)
		}
		if _, _, err := app.(relayer).Relay(t.Context(), 0); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("port 0: %v", err)
		}
		must(t, app.Stop(context.Background()))
	})
	must(t, err)
}

// guestOf is the number of a process of a run's guestinit.
func (r *real) guestOf(id string) string {
	r.t.Helper()
	out, err := exec.Command("pgrep", "-f", "^/consentry/guest wsl inside .*-id "+id).Output()
	must(r.t, err)
	return strings.Fields(string(out))[0]
}

// TestDistroUnderAttack tries the row about vsock, which is WSL's way to
// Windows, and its neighbours.
func TestDistroUnderAttack(t *testing.T) {
	r := newReal(t)
	for _, probe := range attack.Probes {
		if probe.Name != "vsock" && probe.Name != "raw" {
			continue
		}
		t.Run(fmt.Sprintf("%02d %s", probe.Row, probe.Name), func(t *testing.T) {
			report, err := attack.Run(t.Context(), r.host, r.spec(""), nil, probe, nil)
			must(t, err)
			must(t, probe.Judge(report))
		})
	}
}

// TestKilledInDistro: when wsl.exe is killed, or guestinit, nothing of the app
// runs on.
func TestKilledInDistro(t *testing.T) {
	for _, victim := range []string{"wsl.exe .*", "^/consentry/guest wsl run .*", "^/consentry/guest wsl inside .*"} {
		t.Run(victim, func(t *testing.T) {
			r := newReal(t)
			spec := r.spec("echo ready; sleep 600")
			got, err := r.run(spec, func(sandbox.Instance) {
				pids, err := exec.Command("pgrep", "-f", victim+"-id "+spec.ID).Output()
				must(t, err)
				must(t, exec.Command("kill", append([]string{"-9"}, strings.Fields(string(pids))...)...).Run())
			})
			if err != nil || got.exit.Code != 137 || !strings.Contains(got.exit.Reason, "ended") {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestConformInDistro(t *testing.T) {
	r := newReal(t)
	drivertest.Conform(t, r.driver, vmhost.Config{Spec: r.spec("")})
}
