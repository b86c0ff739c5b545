//go:build linux

package linuxhost_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

func TestExitCodes(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"success":        {[]string{"true"}, 0},
		"its own code":   {sh("exit 42"), 42},
		"killed":         {sh("kill -9 $$"), 137},
		"terminated":     {sh("kill -15 $$"), 143},
		"not found":      {[]string{"/bin/nothing"}, 127},
		"not in PATH":    {[]string{"nothing"}, 127},
		"not executable": {[]string{"/etc/noexec"}, 126},
		"a directory":    {[]string{"/etc"}, 126},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			if got := b.run(b.spec(c.args...)); got.exit.Code != c.want {
				t.Fatalf("exit %+v, want %d; stderr %q", got.exit, c.want, got.err)
			}
		})
	}
	b.t = t
}

// launch starts spec and waits for its first line of output.
func launch(b *bench, spec sandbox.Spec) (sandbox.Instance, *bufio.Reader) {
	b.t.Helper()
	r, w := pipe(b.t)
	_, e := pipe(b.t)
	spec.Process.Stdio = [3]*os.File{nil, w, e}
	app, err := b.host.Start(context.Background(), spec, nil)
	must(b.t, err)
	lines := bufio.NewReader(r)
	if line, err := lines.ReadString('\n'); err != nil {
		exit, _ := app.Wait(context.Background())
		b.t.Fatalf("the app said %q, %v, and ended with %+v", line, err, exit)
	}
	b.t.Cleanup(func() { app.Stop(context.Background()); r.Close() })
	return app, lines
}

func waitFor(t *testing.T, app interface {
	Wait(context.Context) (sandbox.Exit, error)
}) sandbox.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	exit, err := app.Wait(ctx)
	must(t, err)
	return exit
}

func TestStopAsksThenKills(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		script string
		want   int
		least  time.Duration
	}{
		"obeys":   {"trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done", 3, 0},
		"default": {"echo up; exec sleep 60", 143, 0},
		"ignores": {"trap '' TERM; echo up; while :; do sleep 0.05; done", 137, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			spec := b.spec(sh(c.script)...)
			spec.Stop.Grace = 600 * time.Millisecond
			app, _ := launch(b, spec)
			asked := time.Now()
			must(t, app.Stop(context.Background()))
			must(t, app.Stop(context.Background()))
			if took := time.Since(asked); took < c.least || took > 5*time.Second {
				t.Errorf("stop took %v", took)
			}
			if exit := waitFor(t, app); exit.Code != c.want {
				t.Fatalf("exit %+v, want %d", exit, c.want)
			}
		})
	}
	b.t = t
}

func TestStopSignalOfTheImage(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("trap 'exit 9' QUIT; echo up; while :; do sleep 0.05; done")...)
	spec.Stop.Signal = sandbox.SIGQUIT
	app, _ := launch(b, spec)
	must(t, app.Stop(context.Background()))
	if exit := waitFor(t, app); exit.Code != 9 {
		t.Fatalf("exit %+v", exit)
	}
}

func TestSignalReachesTheApp(t *testing.T) {
	b := newBench(t)
	app, _ := launch(b, b.spec(sh("trap 'exit 7' HUP; echo up; while :; do sleep 0.05; done")...))
	must(t, app.(sandbox.Signaler).Signal(context.Background(), sandbox.SIGHUP))
	if exit := waitFor(t, app); exit.Code != 7 {
		t.Fatalf("exit %+v", exit)
	}
}

func TestUserGroupsDirAndStreams(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("id -u; id -g; id -G; pwd; umask; hostname; cat /etc/resolv.conf; echo to-stderr >/dev/stderr; echo $HOME; env | wc -l; cat; ulimit -c")...)
	spec.Process.User = sandbox.User{UID: 1000, GID: 1001, Groups: []uint32{1001, 2002}}
	spec.Process.Dir = "/srv/new/dir"
	spec.Image.Files = map[string]string{"/etc/resolv.conf": "nameserver 10.0.2.2\n"}
	got := b.run(spec)
	want := "1000\n1001\n1001 2002\n/srv/new/dir\n0022\nboxed\nnameserver 10.0.2.2\n/home\n"
	if !strings.HasPrefix(got.out, want) || got.err != "to-stderr\n" || got.exit.Code != 0 {
		t.Fatalf("got %+v, want %q", got, want)
	}
	if !strings.HasSuffix(got.out, "\n0\n") {
		t.Errorf("core files are allowed: %q", got.out)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	b := newBench(t)
	got := b.run(b.spec(sh("for i in 1 2 3 4 5; do (sh -c 'sleep 0.1' & ) ; done; sleep 0.6; grep '^State:.Z' /proc/[0-9]*/status; ps -o comm | grep -c sleep")...))
	if got.out != "0\n" {
		t.Fatalf("zombies or orphans left: %q", got.out)
	}
}

func TestNoProcessOutlivesTheApp(t *testing.T) {
	b := newBench(t)
	got := b.run(b.spec(sh("setsid sleep " + nap(4711) + " & sleep 0.1")...))
	if got.exit.Code != 0 || countProcesses(t, "sleep\x00"+nap(4711)) != 0 {
		t.Fatalf("%+v, or the daemon lives on", got)
	}
}

// countProcesses counts processes of the machine whose command line has part.
// nap is how long a process that a test looks for sleeps: no other test of this
// machine sleeps as long.
func nap(seconds int) string { return fmt.Sprintf("%d%04d", os.Getpid(), seconds) }

func countProcesses(t testing.TB, part string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must(t, err)
	n := 0
	for _, e := range entries {
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && strings.Contains(string(line), part) {
			n++
		}
	}
	return n
}

func TestTerminal(t *testing.T) {
	b := newBench(t)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	spec := b.spec(sh("tty; stty size; stty -echo; echo ready; read x; stty size; echo got $x; test -t 0 && test -t 1 && test -t 2; echo user $?; ls -ln $(tty) | cut -d' ' -f3-")...)
	spec.Process.User = sandbox.User{UID: 33, GID: 33}
	spec.Process.Terminal = true
	spec.Process.Size = sandbox.WindowSize{Rows: 30, Cols: 100}
	spec.Process.Stdio = [3]*os.File{inR, outW}
	app, err := b.host.Start(context.Background(), spec, nil)
	must(t, err)
	var all strings.Builder
	lines := bufio.NewReader(outR)
	for !strings.Contains(all.String(), "ready") {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		must(t, err)
	}
	must(t, app.(sandbox.Resizer).Resize(context.Background(), sandbox.WindowSize{Rows: 11, Cols: 22}))
	_, err = inW.WriteString("hello\n")
	must(t, err)
	exit := waitFor(t, app)
	for {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			break
		}
	}
	got := strings.ReplaceAll(all.String(), "\r\n", "\n")
	for _, want := range []string{"/dev/pts/0\n30 100\n", "11 22\ngot hello\nuser 0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("terminal shows %q, want %q in it", got, want)
		}
	}
	if !strings.Contains(got, " 33 ") || exit.Code != 0 {
		t.Errorf("the terminal is not the user's: %q, exit %+v", got, exit)
	}
	inW.Close()
}

func TestExec(t *testing.T) {
	b := newBench(t)
	app, _ := launch(b, b.spec(sh("echo up; sleep 60")...))
	ctx := context.Background()
	exec := func(args ...string) (sandbox.Exit, string) {
		r, w := pipe(t)
		out := collect(r)
		p := sandbox.Process{Args: args, Env: []string{"PATH=/bin"}, User: sandbox.User{UID: 5, GID: 6}, Stdio: [3]*os.File{nil, w, nil}}
		running, err := app.(sandbox.Execer).Exec(ctx, p)
		must(t, err)
		return waitFor(t, running), <-out
	}
	exit, out := exec(sh("id -u; hostname; grep -E 'Seccomp:|NoNewPrivs|CapEff|CapBnd' /proc/self/status; ps -o args | grep -c 'sleep 60'; exit 5")...)
	if exit.Code != 5 || !strings.HasPrefix(out, "5\nboxed\n") || !strings.Contains(out, "Seccomp:\t2") ||
		!strings.Contains(out, "NoNewPrivs:\t1") || !strings.Contains(out, "CapEff:\t0000000000000000") || strings.HasSuffix(out, "\n0\n") {
		t.Errorf("exec: %+v %q", exit, out)
	}
	if exit, _ := exec("nothing"); exit.Code != 127 {
		t.Errorf("missing program: %+v", exit)
	}
	if exit, _ := exec("/etc/noexec"); exit.Code != 126 {
		t.Errorf("no program: %+v", exit)
	}
	r, w := pipe(t)
	defer r.Close()
	sleeper, err := app.(sandbox.Execer).Exec(ctx, sandbox.Process{Args: []string{"/bin/sleep", "61"}, Stdio: [3]*os.File{nil, w, nil}})
	must(t, err)
	must(t, sleeper.Signal(ctx, sandbox.SIGTERM))
	if exit := waitFor(t, sleeper); exit.Code != 143 {
		t.Errorf("signalled exec: %+v", exit)
	}
	last, err := app.(sandbox.Execer).Exec(ctx, sandbox.Process{Args: []string{"/bin/sleep", nap(62)}})
	must(t, err)
	must(t, app.Stop(ctx))
	if exit := waitFor(t, last); exit.Code != 137 {
		t.Errorf("exec after the app's end: %+v", exit)
	}
	if n := countProcesses(t, "sleep\x00"+nap(62)); n != 0 {
		t.Errorf("%d exec processes live on", n)
	}
	if _, err := app.(sandbox.Execer).Exec(ctx, sandbox.Process{Args: []string{"true"}}); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("exec in an app that has ended: %v", err)
	}
}
