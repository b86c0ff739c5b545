//go:build linux

package linuxhost_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// put copies files into a running app; a file's content is its Gname.
func (b *bench) put(app sandbox.Instance, dir string, headers ...tar.Header) error {
	b.t.Helper()
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	for _, h := range headers {
		body := h.Gname
		h.Gname, h.Size = "", int64(len(body))
		must(b.t, archive.WriteHeader(&h))
		_, err := archive.Write([]byte(body))
		must(b.t, err)
	}
	must(b.t, archive.Close())
	r, w, err := os.Pipe()
	must(b.t, err)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		buf.WriteTo(w) // a refused archive is not read to its end
		w.Close()
	}()
	err = app.(sandbox.Putter).Put(context.Background(), dir, sandbox.User{UID: 33, GID: 34}, r)
	<-sent
	return err
}

// TestPutIntoARunningApp: the app sees the files at once, as its user's, those
// of the image covered; nothing else can be written to.
func TestPutIntoARunningApp(t *testing.T) {
	for name, share := range map[string]bool{"alone": false, "with a folder of the host": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			must(t, os.MkdirAll(filepath.Join(b.image, "srv/app"), 0o755))
			must(t, os.WriteFile(filepath.Join(b.image, "srv/app/conf"), []byte("image"), 0o644))
			must(t, os.Chmod(filepath.Join(b.image, "srv"), 0o2755))
			folder := t.TempDir()
			spec := b.spec(sh("echo up; until test -e /srv/go; do sleep 0.02; done; stat -c '%a %u:%g' /srv/app /srv/app/conf /srv/app/d /srv/app/d/tool; cat /srv/app/conf; readlink /srv/app/l")...)
			spec.Process.User = sandbox.User{UID: 33, GID: 34}
			if share { // its filter is a stricter one
				spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/share"}}
			}
			app, lines := launch(b, spec)
			must(t, b.put(app, "/srv/app", tar.Header{Name: "conf", Gname: "mine", Mode: 0o640},
				tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o1751}, tar.Header{Name: "d/tool", Gname: "t", Mode: 0o6755},
				tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}))
			for dir, want := range map[string]error{"/none": sandbox.ErrNoDirectory, "/etc/noexec": sandbox.ErrNoDirectory, "/proc/sys": sandbox.ErrNoDirectory, "/dev": sandbox.ErrNoDirectory} {
				if err := b.put(app, dir, tar.Header{Name: "f", Mode: 0o644}); !errors.Is(err, want) {
					t.Errorf("into %s: %v", dir, err)
				}
			}
			for _, h := range []tar.Header{{Name: "../f"}, {Name: "etc", Gname: "x"}, {Name: "proc/f"}, {Name: "srv/app/l/f"}, {Name: "h", Typeflag: tar.TypeLink, Linkname: "etc/noexec"}, {Name: "dev/sda", Typeflag: tar.TypeBlock}} {
				if err := b.put(app, "/", h); !errors.Is(err, sandbox.ErrPlace) {
					t.Errorf("%s: %v", h.Name, err)
				}
			}
			if share {
				if err := b.put(app, "/", tar.Header{Name: "share/f", Gname: "x"}); !errors.Is(err, sandbox.ErrPlace) {
					t.Errorf("into a folder of the host: %v", err)
				}
				if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
					t.Errorf("the host's folder has %v, %v", left, err)
				}
			}
			must(t, b.put(app, "/srv", tar.Header{Name: "go"}))
			var got strings.Builder
			if _, err := lines.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			if want := "755 0:0\n640 33:34\n1751 33:34\n755 33:34\nmine/etc/shadow\n"; got.String() != want {
				t.Errorf("the app sees %q, want %q", got.String(), want)
			}
		})
	}
}

// swapEnv names the app that swaps where tests run as a user, who has no compiler.
const swapEnv = "LINUXHOST_SWAP"

func buildSwap(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "swap")
	build := exec.Command("go", "build", "-o", program, "./testdata/swap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// TestPutWhileLinksAreSwapped: an app that exchanges a directory for a link all
// the time has no file put where the link leads, in its own root or out of it.
func TestPutWhileLinksAreSwapped(t *testing.T) {
	b := newBench(t)
	program := os.Getenv(swapEnv)
	if program == "" {
		program = buildSwap(t, t.TempDir())
	}
	text, err := os.ReadFile(program)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.image, "bin/swap"), text, 0o755))
	host := t.TempDir() // the link names it: there is such a path inside too
	spec := b.spec(sh("mkdir -p /srv/d " + host + "; ln -s " + host + " /srv/l; exec swap /srv/d /srv/l")...)
	dir := b.upper(&spec)
	app, _ := launch(b, spec)
	times := 3000
	if os.Getenv(rootlessEnv) != "" { // the same code once more
		times = 600
	}
	refused := 0
	for range times {
		switch err := b.put(app, "/srv/d", tar.Header{Name: "f", Gname: "x"}, tar.Header{Name: "sub/", Typeflag: tar.TypeDir}); {
		case errors.Is(err, sandbox.ErrNoDirectory), errors.Is(err, sandbox.ErrPlace):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if refused == 0 || refused == times {
		t.Errorf("%d of %d copies were refused: the app did not swap", refused, times)
	}
	for _, where := range []string{host, filepath.Join(dir, "upper", host)} {
		if found, err := os.ReadDir(where); err != nil || len(found) != 0 {
			t.Errorf("%s has %v, %v", where, found, err)
		}
	}
}

// TestPutOfHalfAnArchive: the app goes on, and the copy is an error.
func TestPutOfHalfAnArchive(t *testing.T) {
	b := newBench(t)
	app, _ := launch(b, b.spec(sh("echo up; exec sleep 60")...))
	r, w, err := os.Pipe()
	must(t, err)
	_, err = w.Write(bytes.Repeat([]byte("no archive "), 100))
	must(t, err)
	must(t, w.Close())
	if err := app.(sandbox.Putter).Put(context.Background(), "/tmp", sandbox.User{}, r); err == nil {
		t.Error("what is no archive was unpacked")
	}
	must(t, b.put(app, "/tmp", tar.Header{Name: "f"}))
	must(t, app.(sandbox.Pauser).Pause(context.Background()))
	if err := b.put(app, "/tmp", tar.Header{Name: "f"}); err == nil || !strings.Contains(err.Error(), "paused") {
		t.Errorf("into a paused app: %v", err)
	}
}
