package wasmhost

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// testBroker answers from a table: what is not in it is denied. Flows it
// allows are real connections to loopback.
type testBroker struct {
	hosts map[string]error // verdict by host; nil is yes
	email func(context.Context) (any, error)

	mu    sync.Mutex
	flows []sandbox.Flow
	asked []sandbox.DataRequest
}

func (b *testBroker) Dial(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
	b.mu.Lock()
	b.flows = append(b.flows, f)
	b.mu.Unlock()
	verdict, known := b.hosts[f.Host]
	if !known {
		return nil, sandbox.ErrDenied
	}
	if verdict != nil {
		return nil, verdict
	}
	var d net.Dialer
	return d.DialContext(ctx, f.Network, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(f.Port))))
}

func (b *testBroker) Open(ctx context.Context, r sandbox.DataRequest) (sandbox.DataReply, error) {
	b.mu.Lock()
	b.asked = append(b.asked, r)
	b.mu.Unlock()
	if b.email == nil {
		return sandbox.DataReply{}, sandbox.ErrDenied
	}
	v, err := b.email(ctx)
	return sandbox.DataReply{Values: map[string]any{"email": v}}, err
}

func (*testBroker) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

func (b *testBroker) askedHosts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, f := range b.flows {
		out = append(out, f.Host)
	}
	return out
}

// started is a module that runs.
type started struct {
	t        *testing.T
	instance sandbox.Instance
	out, err *output
	stdin    *os.File // our end
}

// output collects what a module writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func collect(t *testing.T) (*output, *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o := &output{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		io.Copy(o, r)
		r.Close()
	}()
	return o, w
}

// begin starts the module at path with spec's arguments, mounts and limits.
func begin(t *testing.T, path string, spec sandbox.Spec, broker sandbox.Broker) *started {
	t.Helper()
	s, err := tryBegin(t, path, spec, broker)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryBegin(t *testing.T, path string, spec sandbox.Spec, broker sandbox.Broker) (*started, error) {
	t.Helper()
	s := &started{t: t}
	in, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin = stdin
	var outFile, errFile *os.File
	s.out, outFile = collect(t)
	s.err, errFile = collect(t)
	spec.ID, spec.Name = "aaaaaaaaaaaa", filepath.Base(path)
	if spec.Module == nil {
		spec.Module = &sandbox.Module{}
	}
	spec.Module.Path = path
	spec.Process.Stdio = [3]*os.File{in, outFile, errFile}
	if spec.Process.Args == nil {
		spec.Process.Args = []string{"app"}
	}
	s.instance, err = New(Config{CacheDir: cacheDir()}).Start(t.Context(), spec, broker)
	if err != nil {
		stdin.Close()
		<-s.out.done // Start took the files over, and closed them
		<-s.err.done
		return nil, err
	}
	t.Cleanup(func() {
		stdin.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.instance.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s, nil
}

// cacheDir keeps compiled code between the tests of one run.
var cacheDir = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "wasmhost-cache")
	if err != nil {
		panic(err)
	}
	return dir
})

func TestMain(m *testing.M) {
	if path := os.Getenv(bombEnv); path != "" {
		os.Exit(compileBomb(path))
	}
	code := m.Run()
	os.RemoveAll(cacheDir())
	os.Exit(code)
}

// wait fails the test if the module has not ended within limit.
func (s *started) wait(limit time.Duration) sandbox.Exit {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	exit, err := s.instance.Wait(ctx)
	if err != nil {
		s.t.Fatalf("module has not ended: %v; output %q, errors %q", err, s.out, s.err)
	}
	<-s.out.done
	<-s.err.done
	return exit
}

// stop fails the test if the module has not ended within limit.
func (s *started) stop(limit time.Duration) sandbox.Exit {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	if err := s.instance.Stop(ctx); err != nil {
		s.t.Fatalf("stop took more than %s: %v", limit, err)
	}
	return s.wait(time.Second)
}

// waitFor waits until the module has written text.
func (s *started) waitFor(text string) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if bytes.Contains([]byte(s.out.String()), []byte(text)) {
			return
		}
	}
	s.t.Fatalf("module never wrote %q, but %q", text, s.out)
}

// buildC compiles C source to a module; options go to clang.
func buildC(t testing.TB, source string, options ...string) string {
	t.Helper()
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("needs clang, lld, wasi-libc and libclang-rt-14-dev-wasm32: " + err.Error())
	}
	if _, err := os.Stat("/usr/include/wasm32-wasi"); err != nil {
		t.Skip("needs wasi-libc: " + err.Error())
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "main.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return clang(t, file, options...)
}

func clang(t testing.TB, file string, options ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "main.wasm")
	args := append([]string{"--target=wasm32-wasi", "-w", "-I../sdk/c", "-o", out, file}, options...)
	if text, err := exec.Command("clang", args...).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	return out
}

// buildGo compiles a package of this module for wasip1.
func buildGo(t testing.TB, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "main.wasm")
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

// buildRust compiles a Rust program with the distribution's compiler, which
// has the target under its old name.
func buildRust(t testing.TB, file string) string {
	t.Helper()
	const rustc = "/usr/bin/rustc"
	if _, err := os.Stat("/usr/lib/rustlib/wasm32-wasi/lib"); err != nil {
		t.Skip("needs rustc and libstd-rust-dev-wasm32: " + err.Error())
	}
	out := filepath.Join(t.TempDir(), "main.wasm")
	if text, err := exec.Command(rustc, "--target", "wasm32-wasi", "-O", "-o", out, file).CombinedOutput(); err != nil {
		t.Fatalf("rustc: %v\n%s", err, text)
	}
	return out
}
