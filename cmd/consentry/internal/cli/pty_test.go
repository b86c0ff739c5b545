//go:build linux

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/agent/client/clienttest"
	"github.com/consentry/consentry/agent/ipc"
)

// screen is a pseudo-terminal with a program on it.
type screen struct {
	t      *testing.T
	master *os.File
	tty    *os.File
	cmd    *exec.Cmd
	ended  chan error

	mu  sync.Mutex
	all bytes.Buffer
}

// onTerminal starts consentry as the leader of a session whose terminal is the
// pseudo-terminal. stdin, if given, takes the place of its standard input.
func onTerminal(t *testing.T, home string, stdin *os.File, args ...string) *screen {
	t.Helper()
	master, tty := openPTY(t)
	resize(t, master, 24, 80)
	s := &screen{t: t, master: master, tty: tty, ended: make(chan error, 1)}
	s.cmd = exec.Command("consentry", args...)
	s.cmd.Env = append(os.Environ(), ipc.HomeEnv+"="+home, "TERM=xterm", "NO_COLOR=1", "NOTERMINAL=", "GORACE=atexit_sleep_ms=0")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	if stdin != nil {
		s.cmd.Stdin = stdin
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(s, master)
	}()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = tty.Close()
		_ = master.Close()
		<-copied
	})
	return s
}

func openPTY(t *testing.T) (master, tty *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("needs /dev/ptmx: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "ptmx"), tty
}

func resize(t *testing.T, f *os.File, rows, cols uint16) {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) {
		if err := unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
			t.Error(err)
		}
	})
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

func (s *screen) sees(text string) {
	s.t.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(s.text(), text) {
			return
		}
	}
	s.t.Fatalf("no %q on the screen:\n%s", text, s.text())
}

func (s *screen) seesNot(text string) {
	s.t.Helper()
	if strings.Contains(s.text(), text) {
		s.t.Fatalf("%q is on the screen:\n%s", text, s.text())
	}
}

func (s *screen) keys(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the program and returns its exit code.
func (s *screen) ends() int {
	s.t.Helper()
	select {
	case err := <-s.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	case <-time.After(10 * time.Second):
		s.t.Fatalf("the program goes on:\n%s", s.text())
	}
	return -1
}

func (s *screen) settings() unix.Termios {
	s.t.Helper()
	m, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *m
}

func (s *screen) isRaw() bool { return s.settings().Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == 0 }

func fakeHome(t *testing.T) (string, *clienttest.Agent) {
	t.Helper()
	home := t.TempDir()
	return home, clienttest.Serve(t, ipc.InHome(home))
}

func TestTerminalOfAnApp(t *testing.T) {
	t.Parallel()
	home, a := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "-it", "talk")
	before := s.settings()
	s.sees("size 80x24")
	if !s.isRaw() {
		t.Fatal("the terminal is not raw while the app has it")
	}
	s.keys("\x03x")
	s.sees(`got "\x03x"`) // Ctrl-C is the app's, no signal for us
	resize(t, s.master, 40, 132)
	s.sees("size 132x40")

	s.keys("a")
	s.sees("Always deny")
	s.keys("1\r") // too early: within the dead second
	s.sees("Your answer, 1 to 5")
	s.seesNot("while asking") // what the app writes waits
	if n := len(a.Answers()); n != 0 {
		t.Fatalf("%d answers before the question was live", n)
	}
	s.keys("\r") // no default
	s.keys("\r")
	s.keys("9\r") // no such choice
	s.keys("\x1b[1;5A\r")
	s.keys("\x03") // goes to the app, which answers when it may write again
	time.Sleep(100 * time.Millisecond)
	if n := len(a.Answers()); n != 0 {
		t.Fatalf("%d answers by Enter alone, a wrong number or a function key", n)
	}
	s.keys("12\x7f\r") // a slip of the finger, taken back
	s.sees("→ Allow once")
	s.sees("while asking")
	s.sees(`got "\x03"`)
	if answers := a.Answers(); len(answers) != 1 || answers[0].Verdict != "allow" || answers[0].Lifetime != "once" || answers[0].Nonce != "n-1" || answers[0].By != "terminal" {
		t.Fatalf("answers: %+v", answers)
	}
	s.keys("z")
	s.sees(`got "z"`)
	s.sees("answer allow once")
	if !s.isRaw() {
		t.Fatal("the terminal is not raw again after the question")
	}
	s.keys("q")
	if code := s.ends(); code != 5 {
		t.Fatalf("exit code %d, want 5", code)
	}
	if after := s.settings(); after != before {
		t.Fatalf("the terminal was left changed:\n%+v\n%+v", before, after)
	}
	if strings.Contains(s.text(), `got "1`) || strings.Contains(s.text(), `got "9`) {
		t.Fatal("keys of the answer reached the app")
	}
}

// An app without our input: questions come on the terminal, input of the
// program stays where it is.
func TestQuestionBesideAPipe(t *testing.T) {
	t.Parallel()
	home, a := fakeHome(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // a test's
	if _, err := w.WriteString("1\n1\n1\n"); err != nil {
		t.Fatal(err)
	}
	s := onTerminal(t, home, r, "run", "ask")
	_ = r.Close()
	before := s.settings()
	s.sees("Connect to api.example.com, port 443")
	s.sees("The app says: “fetch the weather”")
	s.sees("If allowed: it learns where you are")
	s.sees("A yes makes possible: everything else on api.example.com")
	s.sees("It stands for 2 requests")
	s.sees("Your answer, 1 to 5")
	if len(a.Answers()) != 0 {
		t.Fatal("standard input answered the question")
	}
	s.keys("5\r")
	if code := s.ends(); code != 7 {
		t.Fatalf("exit code %d, want 7", code)
	}
	s.sees("deny always by terminal")
	if s.settings() != before {
		t.Fatal("the terminal was left changed")
	}
}

func TestQuestionTakenBack(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "settle")
	before := s.settings()
	if code := s.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	s.sees("no answer needed any more: Connect to api.example.com")
	s.sees("after")
	if i, j := strings.Index(s.text(), "no answer needed"), strings.Index(s.text(), "painted over?"); i > j {
		t.Fatalf("the app wrote while the question stood:\n%s", s.text())
	}
	if s.settings() != before {
		t.Fatal("the terminal was left changed")
	}
}

// Ctrl-C without -t is a signal of the terminal, and the app's.
func TestInterruptFromTerminal(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "signals")
	s.sees("ready")
	for n := 1; n <= 3; n++ {
		s.keys("\x03")
		for until := time.Now().Add(5 * time.Second); strings.Count(s.text(), "signal 2") < n && time.Now().Before(until); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if code := s.ends(); code != 130 {
		t.Fatalf("exit code %d, want 130", code)
	}
	if n := strings.Count(s.text(), "signal 2"); n != 3 {
		t.Fatalf("%d signals reached the app, want 3:\n%s", n, s.text())
	}
}

// Before the app runs, Ctrl-C ends the pull.
func TestInterruptWhilePulling(t *testing.T) {
	t.Parallel()
	home, a := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "slowpull")
	for until := time.Now().Add(5 * time.Second); len(a.Calls()) < 2 && time.Now().Before(until); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	s.keys("\x03")
	if code := s.ends(); code != exitInterrupted {
		t.Fatalf("exit code %d, want %d", code, exitInterrupted)
	}
}

func TestDetachKeys(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "-it", "talk")
	before := s.settings()
	s.sees("size")
	s.keys("\x10\x11")
	if code := s.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	s.sees("detached; consentry attach web")
	if s.settings() != before {
		t.Fatal("the terminal was left changed")
	}
}

// What an app without a terminal writes cannot steer ours.
func TestOutputIsCleaned(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "escape")
	s.ends()
	s.sees("\x1b[31mred\x1b[0m^[]0;title^G^[[2J<U+202E>")
}

func TestBarsOnATerminal(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	s := onTerminal(t, home, nil, "pull", "docker.io/library/web:1")
	if code := s.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	s.sees("download 4f5a00000000")
	s.sees("2MB / 2MB")
	s.sees("docker.io/library/web:1  sha256:4f5a00000000  12.3MB")
}

// A panic inside a session leaves the terminal as it was.
func TestPanicPutsTheTerminalBack(t *testing.T) {
	t.Parallel()
	_, tty := openPTY(t)
	defer tty.Close() //nolint:errcheck // a test's
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	term, err := newTerminal(tty)
	if err != nil {
		t.Fatal(err)
	}
	// Our progress has lines until the app runs; then what it writes is its own.
	for mode, lines := range map[string]bool{"keysOnly": true, "raw": false} {
		if err := map[string]func() error{"keysOnly": term.keysOnly, "raw": term.raw}[mode](); err != nil {
			t.Fatal(err)
		}
		now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if now.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || now.Oflag&unix.OPOST != 0 != lines {
			t.Errorf("%s: %+v", mode, now)
		}
	}
	s := &session{tty: term}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		defer s.rescue()
		panic("in a goroutine of the session")
	}()
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Fatalf("the terminal was left changed: %+v, %v", after, err)
	}
}

// Standard output that is closed ends the session, with the terminal put back.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	cmd := exec.Command("consentry", "run", "flood")
	cmd.Env = append(os.Environ(), ipc.HomeEnv+"="+home, "NOTERMINAL=1")
	cmd.Stdout = w
	err = cmd.Run()
	_ = w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitBrokenPipe {
		t.Fatalf("%v, want exit code %d", err, exitBrokenPipe)
	}
}
