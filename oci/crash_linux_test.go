package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Variables by which a test starts itself as the process that is killed.
const (
	crashStore  = "OCI_CRASH_STORE"
	crashSource = "OCI_CRASH_SOURCE"
	crashWidth  = "OCI_CRASH_WIDTH"
)

// changes are the system calls that change a file system, and syncs.
var changes = []string{"mkdirat", "renameat", "symlinkat", "linkat", "mknodat", "unlinkat", "fchownat", "fchown", "fchmod", "fchmodat",
	"write", "pwrite64", "utimensat", "fsetxattr", "fsync"}

// crashImage has every kind of work: files, links, a layer that depends on the
// one below, and one that does not.
func crashImage(t *testing.T) v1.Image {
	return ociImage(t, [][]file{
		{{name: "bin/"}, {name: "bin/tool", body: strings.Repeat("tool", 300), mode: 0o4755, uid: 3}, {name: "bin/same", kind: '1', link: "bin/tool"},
			{name: "etc/"}, {name: "etc/old", body: "old"}, {name: "lib", kind: '2', link: "bin"}},
		{{name: "etc/.wh.old"}, {name: "lib/new", body: "new"}, {name: "alias", kind: '1', link: "bin/tool"}},
		{{name: "srv/"}, {name: "srv/page", body: "page", pax: map[string]string{"SCHILY.xattr.user.note": "n"}}, {name: "pipe", kind: '6'}},
	})
}

// TestCrash has a process pull, and be killed, or find the disk full from there
// on, at one system call after the other. Then the store opens, what it shows
// is whole, and the next pull completes.
func TestCrash(t *testing.T) {
	if store := os.Getenv(crashStore); store != "" {
		pullHere(t, store, os.Getenv(crashSource))
		return
	}
	needRoot(t)
	t.Run("layers", func(t *testing.T) { crashPulls(t, maxStack, 2) })
	t.Run("merged layers", func(t *testing.T) { crashPulls(t, 1, 1) })
}

// crashPulls tries the first calls of each kind; long: all.
func crashPulls(t *testing.T, width, most int) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace, which ends a process at a chosen system call: apt-get install strace")
	}
	src := writeLayout(t, crashImage(t))
	whole := referenceStore(t, src, width)
	if os.Getenv("CONSENTRY_LONG") != "" {
		most = 1000
	}
	for _, how := range []string{"signal=SIGKILL:when=%d", "error=ENOSPC:when=%d+"} {
		points := 0
		for _, call := range changes {
			for n := 1; n <= most; n++ {
				fault := call + ":" + fmt.Sprintf(how, n)
				store := filepath.Join(t.TempDir(), "store")
				ended := straced(t, fault, store, src, width)
				checkAfterCrash(t, fault, store, src, whole)
				if ended {
					break // the call is not made that often
				}
				points++
			}
		}
		t.Logf("%d points of %s", points, how)
		if points < len(changes) {
			t.Errorf("only %d points: this shows little", points)
		}
	}
}

func pullHere(t *testing.T, dir, src string) {
	s, err := OpenStore(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(os.Getenv(crashWidth), &s.width); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), source(t, src), PullOptions{}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// straced pulls in a process with a fault; ended says that it never came to it.
func straced(t *testing.T, fault, store, src string, width int) (ended bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject="+fault,
		os.Args[0], "-test.run", "^TestCrash$")
	cmd.Env = append(os.Environ(), crashStore+"="+store, crashSource+"="+src, fmt.Sprint(crashWidth, "=", width), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true
	case !errors.As(err, &exit):
		t.Fatal(err)
	case strings.Contains(string(out), "panic"):
		t.Errorf("%s: %s", fault, out)
	}
	return false
}

// reference is what a pull that nothing disturbs leaves: each layer's tree, by
// its key, and the image's.
type reference struct {
	layers map[string]map[string]string
	image  map[string]string
	width  int
}

func referenceStore(t *testing.T, src string, width int) reference {
	t.Helper()
	s, dir := openTest(t)
	s.width = width
	img, err := s.Pull(t.Context(), source(t, src), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return reference{layers: layersOf(t, dir), image: describeTree(t, mount(t, img.Layers)), width: width}
}

// layersOf describes the layers that a store would use.
func layersOf(t *testing.T, store string) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	marks, err := filepath.Glob(filepath.Join(store, layersDir, "*", "layer.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range marks {
		dir := filepath.Dir(mark)
		tree := describeTree(t, filepath.Join(dir, "fs"))
		for path, line := range tree {
			if strings.HasPrefix(line, "mode 20000 ") {
				tree[path] = "whiteout" // its time means nothing
			}
		}
		found[filepath.Base(dir)] = tree
	}
	return found
}

func checkAfterCrash(t *testing.T, when, dir, src string, whole reference) {
	t.Helper()
	for key, tree := range layersOf(t, dir) {
		if !maps.Equal(tree, whole.layers[key]) {
			t.Errorf("%s: the layer %s is not whole: %v", when, key, tree)
		}
	}
	s, err := OpenStore(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("%s: the store does not open: %v", when, err)
	}
	defer s.Close()
	s.width = whole.width
	if left, err := os.ReadDir(filepath.Join(dir, tmpDir)); err != nil || len(left) > 0 {
		t.Errorf("%s: left in tmp: %v, %v", when, left, err)
	}
	images, err := s.Images()
	if err != nil {
		t.Errorf("%s: %v", when, err)
	}
	for _, img := range images {
		sameTree(t, describeTree(t, mount(t, img.Layers)), whole.image)
	}
	img, err := s.Pull(t.Context(), source(t, src), PullOptions{})
	if err != nil {
		t.Fatalf("%s: the next pull: %v", when, err)
	}
	sameTree(t, describeTree(t, mount(t, img.Layers)), whole.image)
}

// TestDiskFull pulls onto file systems that are too small by more and more.
func TestDiskFull(t *testing.T) {
	needRoot(t)
	src := writeLayout(t, ociImage(t, [][]file{
		{{name: "a/"}, {name: "a/1", body: strings.Repeat("1", 40_000)}, {name: "a/2", body: strings.Repeat("2", 40_000)}},
		{{name: "b", body: strings.Repeat("b", 60_000)}, {name: "a/hard", kind: '1', link: "a/1"}},
	}))
	failed := 0
	for pages := 20; pages <= 100; pages += 8 {
		at := t.TempDir()
		size := func(pages int) string { return fmt.Sprintf("size=%d", pages*os.Getpagesize()) }
		if err := unix.Mount("tmpfs", at, "tmpfs", 0, size(pages)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		if tryFull(t, at, src, func() error { return unix.Mount("", at, "", unix.MS_REMOUNT, size(4000)) }) {
			failed++
		}
	}
	if failed < 4 {
		t.Errorf("the disk was full only %d times: this shows little", failed)
	}
}

// tryFull pulls into a store in at and tells whether that failed; after more
// has made room, it works.
func tryFull(t *testing.T, at, src string, more func() error) (failed bool) {
	t.Helper()
	s, err := OpenStore(filepath.Join(at, "store"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.limits.Reserve = -1 << 30 // let it run into the wall
	before := listing(t, at)
	if _, err = s.Pull(t.Context(), source(t, src), PullOptions{}); err != nil {
		failed = true
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("on a full disk: %v", err)
		}
		sameListing(t, at, before)
		if _, err := s.Lookup(src); !errors.Is(err, ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a half image is found: %v", err)
		}
	}
	if err := more(); err != nil {
		t.Fatal(err)
	}
	img, err := s.Pull(t.Context(), source(t, src), PullOptions{})
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if got := readLayers(t, img, "a/hard"); len(got) != 40_000 {
		t.Errorf("a/hard has %d bytes", len(got))
	}
	return failed
}
