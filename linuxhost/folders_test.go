//go:build linux

package linuxhost_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/share/placeholder"
)

const askTarget = "/share/docs"

// asking is an app with a place to ask for, and whoever answers.
type asking struct {
	*bench
	app    sandbox.Instance
	giver  sandbox.FolderGiver
	lines  *bufio.Reader
	stdin  *os.File
	folder string

	mu     sync.Mutex
	asked  int
	there  bool
	answer func() error // gives the folder
}

// newAsking starts script with the folder, owned by a user of the host.
func newAsking(t *testing.T, given sandbox.Folder, script string) *asking {
	t.Helper()
	a := &asking{bench: newBench(t), folder: t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(a.folder, "inner"), 0o755))
	must(t, os.WriteFile(filepath.Join(a.folder, "letter"), []byte("dear\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(a.folder, "inner/deep"), []byte("deep\n"), 0o644))
	for _, name := range []string{"", "letter", "inner", "inner/deep"} {
		if appRoot() == 0 {
			break // a user has nobody's files but their own
		}
		must(t, os.Chown(filepath.Join(a.folder, name), 4242, 4343))
	}
	given.Source = a.folder
	a.answer = func() error { return a.giver.GiveFolder(context.Background(), askTarget, given) }
	spec := a.spec(sh(script)...)
	spec.Asks = []sandbox.Ask{{Name: "docs", Target: askTarget}}
	in, typed := pipe(t)
	out, w := pipe(t)
	complaints, e := pipe(t)
	spec.Process.Stdio = [3]*os.File{in, w, e}
	app, err := a.host.Start(context.Background(), spec, nil)
	must(t, err)
	collect(complaints)
	a.app, a.lines, a.stdin = app, bufio.NewReader(out), typed
	a.giver = a.app.(sandbox.FolderGiver)
	a.serve()
	return a
}

// serve answers for the placeholder, as the app's worker does.
func (a *asking) serve() {
	a.t.Helper()
	files, err := a.giver.Placeholders(a.t.Context())
	must(a.t, err)
	if len(files) != 1 {
		a.t.Fatalf("%d placeholders", len(files))
	}
	if again, err := a.giver.Placeholders(a.t.Context()); err == nil {
		a.t.Errorf("a second time: %v", again)
	}
	served := make(chan error, 1)
	go func() {
		served <- placeholder.Serve(context.Background(), files[0], placeholder.Owner{UID: uint32(appRoot())}, a.touched)
	}()
	a.t.Cleanup(func() {
		a.app.Stop(context.Background())
		must(a.t, <-served)
	})
}

// goOn lets the app's read return.
func (a *asking) goOn() {
	a.t.Helper()
	_, err := a.stdin.WriteString("\n")
	must(a.t, err)
}

// touched gives the folder once, and says what it holds.
func (a *asking) touched(_ context.Context, name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.there {
		a.asked++
		if err := a.answer(); err != nil {
			return err
		}
		a.there = true
	}
	if _, err := os.Lstat(filepath.Join(a.folder, name)); err != nil {
		return sandbox.ErrNothing
	}
	return nil
}

// answers has every later touch end with err.
func (a *asking) answers(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = func() error { return err }
}

func (a *asking) take() sandbox.Taken {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	began := time.Now()
	taken, err := a.giver.TakeFolder(a.t.Context(), askTarget)
	must(a.t, err)
	a.t.Logf("%+v after %s", taken, time.Since(began))
	a.there = false
	return taken
}

// timesAsked is how often the folder was asked for.
func (a *asking) timesAsked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *asking) says(want string) {
	a.t.Helper()
	line := make(chan string, 1)
	go func() {
		text, _ := a.lines.ReadString('\n')
		line <- strings.TrimSuffix(text, "\n")
	}()
	select {
	case got := <-line:
		if got != want {
			a.t.Fatalf("the app says %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		a.t.Fatalf("the app says nothing, want %q", want)
	}
}

// What is asked for is there for the very call that asked, whatever call it is,
// and one answer serves all.
func TestFolderComesAtFirstTouch(t *testing.T) {
	for name, script := range map[string]string{
		"open":    "cat /share/docs/letter",
		"stat":    "stat -c dear /share/docs/inner/deep",
		"list":    "ls /share/docs | grep -q letter && echo dear",
		"chdir":   "cd /share/docs; cat letter",
		"execute": "/share/docs/inner/nothing 2>/dev/null; cat /share/docs/letter",
		"access":  "test -r /share/docs/letter && echo dear",
		"many":    "for i in 1 2 3 4 5 6 7 8; do cat /share/docs/letter >/tmp/$i & done; wait; cat /tmp/? | sort -u",
	} {
		t.Run(name, func(t *testing.T) {
			a := newAsking(t, sandbox.Folder{}, "ls /share; stat -c '%a %u' /share/docs; "+script+"; echo x 2>&1 >/share/docs/new | grep -o Read-only; sleep 100")
			a.says("docs")
			a.says("555 0")
			a.says("dear")
			a.says("Read-only")
			if n := a.timesAsked(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// Calls that make or unmake names may be the first touch too.
func TestFolderThatIsWritten(t *testing.T) {
	for _, script := range []string{
		"mkdir /share/docs/new", "ln -s x /share/docs/new", "mknod /share/docs/new p", "echo text >/share/docs/new",
		"mv /share/docs/letter /share/docs/new", "ln /share/docs/letter /share/docs/new",
		"touch /share/docs/new", "cp -r /share/docs/inner /share/docs/new", "rm /share/docs/letter && touch /share/docs/new",
	} {
		t.Run(strings.Fields(script)[0], func(t *testing.T) {
			a := newAsking(t, sandbox.Folder{Write: true}, script+" 2>&1; echo $?; sleep 100")
			a.says("0")
			if uid, gid := ownerOf(t, filepath.Join(a.folder, "new")); uid != 4242 || gid != 4343 {
				t.Errorf("what is new belongs to %d:%d", uid, gid)
			}
		})
	}
}

func TestFolderThatIsNotGiven(t *testing.T) {
	a := newAsking(t, sandbox.Folder{}, "read x; cat /share/docs/letter 2>&1; ls /share/docs 2>&1; cd /share/docs; read x; mkdir /share/docs/y 2>&1; sleep 100")
	a.answers(sandbox.ErrDenied)
	a.goOn()
	a.says("cat: can't open '/share/docs/letter': Permission denied")
	a.says("ls: can't open '/share/docs': Permission denied")
	a.answers(sandbox.ErrHeld)
	a.goOn()
	a.says("mkdir: can't create directory '/share/docs/y': Resource temporarily unavailable")
}

// Parts have their own rights from the first moment, and sockets lead nowhere.
func TestPartsOfAFolder(t *testing.T) {
	a := newAsking(t, sandbox.Folder{Parts: []sandbox.Part{
		{Path: "private"}, {Path: "note"}, {Path: "out", Read: true, Write: true}, {Path: "missing"}, {Path: "private/below", Read: true},
	}}, `read x; cd /share/docs; cat private/key 2>&1; ls private 2>/dev/null || echo no list; cat note 2>&1; cat private/below/f 2>&1
echo x >out/new && echo written; echo x 2>&1 >inner/new | grep -o Read-only; mv private gone 2>&1 | grep -o -e busy -e Read-only; test -S sock || echo no socket; sleep 100`)
	for _, dir := range []string{"private/below", "out"} {
		must(t, os.MkdirAll(filepath.Join(a.folder, dir), 0o777))
	}
	for _, name := range []string{"private/key", "note", "private/below/f"} {
		must(t, os.WriteFile(filepath.Join(a.folder, name), []byte("secret\n"), 0o666))
	}
	must(t, os.Chown(filepath.Join(a.folder, "out"), 4242, 4343))
	serveNobody(t, filepath.Join(a.folder, "sock"))
	a.goOn()
	for _, want := range []string{
		"cat: can't open 'private/key': Permission denied", "no list",
		"cat: can't open 'note': Permission denied", "cat: can't open 'private/below/f': Permission denied",
		"written", "Read-only", "Read-only", "no socket",
	} {
		a.says(want)
	}
}

// A folder that is taken back is gone for new calls; the app is held while it
// has files open, unless the kernel cuts them; a process that has one mapped is
// ended. The next touch asks again.
func TestFolderTakenBack(t *testing.T) {
	a := newAsking(t, sandbox.Folder{}, "exec 3</share/docs/letter; echo open; read x; cat /share/docs/letter; read x <&3; echo read $x $?; sleep 100")
	a.says("open")
	taken := a.take()
	if taken.Open != 1 || taken.Ended != 0 || taken.Cut == taken.Paused {
		t.Errorf("taken %+v", taken)
	}
	if _, err := a.giver.TakeFolder(t.Context(), askTarget); err == nil {
		t.Error("it was taken twice")
	}
	must(t, a.app.(sandbox.Pauser).Unpause(t.Context()))
	a.goOn()
	a.says("dear")
	if n := a.timesAsked(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if taken.Cut {
		a.says("read 1")
	} else {
		a.says("read dear 0") // what the user was told
	}
}

func TestFolderTakenBackWhileMapped(t *testing.T) {
	a := newAsking(t, sandbox.Folder{}, "read x; { sleep 1; echo mapped; } & /share/docs/busybox sleep 100; echo ended $?; sleep 100")
	program, err := os.ReadFile(filepath.Join(a.image, "bin/busybox"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a.folder, "busybox"), program, 0o755))
	a.goOn()
	a.says("mapped")
	taken := a.take()
	if taken.Ended != 1 {
		t.Errorf("taken %+v", taken)
	}
	must(t, a.app.(sandbox.Pauser).Unpause(t.Context()))
	a.says("ended 137")
}

// What an app leaves in a folder of the user's lends nobody's rights; elsewhere
// modes are the app's own business.
func TestNoSetIDFileInAShare(t *testing.T) {
	b := newBench(t)
	folder := t.TempDir()
	must(t, os.Chown(folder, 4242, 4343))
	const script = `cd /share; cp /bin/busybox a; for m in 4755 2755 6777; do chmod $m a 2>&1; done; chmod 755 a; mkdir -m 2755 d 2>&1; stat -c %a a
mknod p p; chmod 4644 p 2>&1; cp /bin/busybox /tmp/a; chmod 4755 /tmp/a 2>&1`
	spec := b.spec(sh(script)...)
	spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/share"}}
	got := b.run(spec)
	if n := strings.Count(got.out, "Operation not permitted"); n != 6 || !strings.Contains(got.out, "\n755\n") {
		t.Errorf("%d refusals in %q", n, got.out)
	}
	spec = b.spec(sh("cp /bin/busybox /tmp/a; chmod 4755 /tmp/a; stat -c %a /tmp/a")...)
	if got := b.run(spec); got.out != "4755\n" {
		t.Errorf("without a folder: %+v", got)
	}
}
