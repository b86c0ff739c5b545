//go:build linux

package linuxhost_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// An app does not run before what it waits for is there, though its sandbox stands;
// and never where that fails.
func TestAppWaitsForReady(t *testing.T) {
	b, _ := benchWithReady(t)
	for name, spec := range map[string]func(...string) sandbox.Spec{"ready": b.readySpec, "anew": b.spec} {
		t.Run(name, func(t *testing.T) {
			b.awaitReady()
			marker := nap(5320)
			app, _ := startWhen(t, b, spec("sleep", marker), func() error {
				time.Sleep(300 * time.Millisecond) // the sandbox is made in less
				if n := countProcesses(t, "sleep\x00"+marker); n != 0 {
					t.Errorf("it runs already: %d processes", n)
				}
				return nil
			})
			must(t, app.err)
			if n := countProcesses(t, "sleep\x00"+marker); n != 1 {
				t.Errorf("%d processes of it run", n)
			}
			must(t, app.Stop(context.Background()))

			b.awaitReady()
			refused := errors.New("not written")
			app, out := startWhen(t, b, spec("sleep", marker), func() error { return refused })
			if !errors.Is(app.err, refused) {
				t.Errorf("start: %v", app.err)
			}
			if n := countProcesses(t, "sleep\x00"+marker); n != 0 || <-out != "" {
				t.Errorf("it runs: %d processes", n)
			}
		})
	}
}

type started struct {
	sandbox.Instance
	err error
}

func startWhen(t *testing.T, b *bench, spec sandbox.Spec, ready func() error) (started, <-chan string) {
	t.Helper()
	r, w := pipe(t)
	spec.Process.Stdio = [3]*os.File{nil, w, nil}
	out := collect(r)
	app, err := b.host.StartWhen(context.Background(), spec, nil, ready)
	return started{app, err}, out
}

// Who waits is told when the launcher dies meanwhile.
func TestLauncherDiesWhileAnAppWaits(t *testing.T) {
	b, _ := benchWithReady(t)
	spec := b.readySpec(sh("exit 3")...)
	waiting := childrenOf(t, os.Getpid())
	app, _ := startWhen(t, b, spec, func() error {
		for _, pid := range waiting {
			kill(t, pid)
		}
		return nil
	})
	if app.err != nil { // another launcher took its place
		t.Fatal(app.err)
	}
	exit, err := app.Wait(context.Background())
	if err != nil || exit.Code != 3 {
		t.Errorf("exit %+v, %v", exit, err)
	}
}
