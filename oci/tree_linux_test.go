package oci

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocidir "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/oci/unpack"
)

// trees are stacks of layers whose merged tree is easy to get wrong.
var trees = map[string][][]file{
	"whiteouts": {
		{{name: "a/"}, {name: "a/gone", body: "1"}, {name: "a/kept", body: "1"}, {name: "dir/"}, {name: "dir/sub/"}, {name: "dir/sub/f", body: "1"}, {name: "top", body: "1"}},
		{{name: "a/"}, {name: "a/.wh.gone"}, {name: ".wh.dir"}, {name: ".wh.top"}},
		{{name: "dir/", mode: 0o700}, {name: "dir/new", body: "3"}, {name: "a/"}, {name: "a/gone", body: "again"}},
	},
	"opaque": {
		{{name: "o/"}, {name: "o/1", body: "1"}, {name: "o/s/"}, {name: "o/s/1", body: "1"}},
		{{name: "o/", mode: 0o711}, {name: "o/2", body: "2"}, {name: "o/.wh..wh..opq"}, {name: "o/s/"}, {name: "o/s/2", body: "2"}},
		{{name: "o/"}, {name: "o/3", body: "3"}},
	},
	"opaque root": {
		{{name: "old", body: "1"}, {name: "d/"}, {name: "d/old", body: "1"}},
		{{name: ".wh..wh..opq"}, {name: "d/"}, {name: "d/new", body: "2"}},
		{{name: "x", body: "3"}},
	},
	"whiteout and file in one layer": {
		{{name: "d/"}, {name: "d/old", body: "1"}, {name: "f", body: "1"}},
		{{name: ".wh.d"}, {name: "d/"}, {name: "d/new", body: "2"}, {name: "f", body: "2"}, {name: ".wh.f"}},
	},
	"whiteouts of nothing": {
		{{name: "a/"}, {name: "a/.wh.ghost"}, {name: "a/f", body: "1"}, {name: ".wh.top"}},
		{{name: "b/"}, {name: "b/.wh.ghost"}, {name: "b/f", body: "2"}},
	},
	"whiteout behind its directory": {
		{{name: "d/"}, {name: "d/old", body: "1"}},
		{{name: "d/"}, {name: "d/new", body: "2"}, {name: ".wh.d"}},
	},
	"file in the place of a directory and back": {
		{{name: "p/"}, {name: "p/1", body: "1"}, {name: "q", body: "q"}},
		{{name: "p", body: "file"}, {name: "q/"}, {name: "q/2", body: "2"}},
		{{name: "p/"}, {name: "p/3", body: "3"}, {name: "q", kind: '2', link: "p"}},
	},
	"file and directory in one layer": {
		{{name: "p/"}, {name: "p/1", body: "1"}},
		{{name: "p", body: "file"}, {name: "p/"}, {name: "p/2", body: "2"}},
	},
	"hard links across layers": {
		{{name: "bin/"}, {name: "bin/tool", body: "tool", mode: 0o4755, uid: 3, gid: 4}, {name: "etc/", uid: 5}, {name: "etc/conf", body: "conf"}},
		{{name: "etc/", uid: 5}, {name: "etc/other", body: "2"}},
		{{name: "bin/"}, {name: "bin/alias", kind: '1', link: "bin/tool"}, {name: "bin/again", kind: '1', link: "bin/alias"},
			{name: "conf", kind: '1', link: "etc/conf"}},
	},
	"hard link replaced later": {
		{{name: "a", body: "a"}, {name: "b", body: "b"}},
		{{name: "l", kind: '1', link: "a"}, {name: "l", body: "own"}, {name: "d/"}, {name: "d/l", kind: '1', link: "b"}, {name: "d", body: "file"}},
	},
	"hard link in one layer and one side replaced": {
		{{name: "a", body: "1"}, {name: "b", kind: '1', link: "a"}, {name: "a", body: "2"}},
	},
	"implied directories": {
		{{name: "srv/", mode: 0o2770, uid: 33, gid: 34}, {name: "srv/www/", mode: 0o700, uid: 35}},
		{{name: "srv/www/page", body: "p"}},
		{{name: "srv/new", body: "n"}},
	},
	"usr merge": {
		{{name: "usr/"}, {name: "usr/bin/"}, {name: "usr/bin/sh", body: "sh"}, {name: "bin", kind: '2', link: "usr/bin"},
			{name: "var/"}, {name: "run/", mode: 0o711}, {name: "var/run", kind: '2', link: "/run"}},
		{{name: "bin/tool", body: "t"}, {name: "var/run/pid", body: "1"}, {name: "bin/sub/", mode: 0o710}, {name: "bin/sub/x", body: "x"}},
		{{name: "usr/"}, {name: "usr/bin/"}, {name: "usr/bin/more", body: "m"}, {name: "bin/sh", body: "sh 3"}},
		{{name: "bin/.wh.tool"}, {name: "hard", kind: '1', link: "bin/more"}},
	},
	"links in one layer": {
		{{name: "real/"}, {name: "l", kind: '2', link: "real"}, {name: "l/f", body: "f"}, {name: "abs", kind: '2', link: "/real"}, {name: "abs/g", body: "g"}},
	},
	"directory replaces a link": {
		{{name: "real/"}, {name: "real/f", body: "f"}, {name: "l", kind: '2', link: "real"}},
		{{name: "l/"}, {name: "l/new", body: "n"}},
	},
	"attributes and kinds": {
		{{name: "x", body: "x", pax: map[string]string{"SCHILY.xattr.user.note": "n"}}, {name: "pipe", kind: '6', mode: 0o640},
			{name: "s", kind: '2', link: "nowhere", uid: 1, gid: 2}, {name: "sticky/", mode: 0o1777}},
		{{name: "x", body: "y", pax: map[string]string{"SCHILY.xattr.user.other": "o"}}},
	},
	"attributes of directories": {
		{{name: "d/", uid: 1, pax: map[string]string{"SCHILY.xattr.user.note": "n"}}, {name: "d/f", body: "f"}},
		{{name: "d/", mode: 0o700, pax: map[string]string{"SCHILY.xattr.user.other": "o"}}, {name: "d/g", body: "g"}},
		{{name: "d/h", body: "h"}},
	},
	"sparse and long names": {
		{{name: "hole", body: strings.Repeat("\x00", 300<<10) + "end"}, {name: "zeros", body: strings.Repeat("\x00", 200<<10)},
			{name: strings.Repeat("l", 200) + "/"}, {name: strings.Repeat("l", 200) + "/" + strings.Repeat("n", 200), body: "deep"}, {name: "ünï/"}, {name: "ünï/" + strings.Repeat("ö", 120), body: "u"},
			{name: "to", kind: '2', link: strings.Repeat("far/", 300)}},
	},
	"120 layers":   many(120),
	"small layers": entangled(howMany()),
	"same layer twice": {
		{{name: "a", body: "1"}}, {{name: "b", body: "1"}}, {{name: "a", body: "1"}},
	},
}

// many layers, each with a file of its own, one that all write, and one that
// the next removes.
func many(n int) (layers [][]file) {
	for i := range n {
		layers = append(layers, []file{{name: "d/"}, {name: fmt.Sprint("d/", i), body: fmt.Sprint(i)}, {name: "all", body: fmt.Sprint(i)},
			{name: fmt.Sprint("gone", i)}, {name: fmt.Sprint(".wh.gone", i-1)}})
	}
	return layers
}

func ociImage(t *testing.T, layers [][]file) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(imageOf(t, v1.Config{}), types.OCIManifestSchema1), types.OCIConfigJSON)
	var all []mutate.Addendum
	for _, files := range layers {
		raw := tarOf(t, append([]file{{name: "./"}}, files...)...)
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, mutate.Addendum{Layer: l})
	}
	img, err := mutate.Append(img, all...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// overlay names each layer in a call of its own: mount's options are one page.
func overlay(at, base string, layers []string) error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, dir := range slices.Backward(layers) {
		err = errors.Join(err, unix.FsconfigSetString(fd, "lowerdir+", dir))
	}
	err = errors.Join(err, unix.FsconfigSetString(fd, "upperdir", base+"/u"), unix.FsconfigSetString(fd, "workdir", base+"/w"),
		unix.FsconfigSetFlag(fd, "userxattr"))
	if err != nil {
		return err
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return err
	}
	mounted, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.MoveMount(mounted, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH), unix.Close(mounted))
}

// mount merges the layers as the host does.
func mount(t testing.TB, layers []string) string {
	t.Helper()
	base := t.TempDir()
	at := filepath.Join(base, "m")
	for _, dir := range []string{"m", "u", "w"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := overlay(at, base, layers); err != nil {
		t.Fatalf("mount overlay: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

// describeTree writes one line for each file: everything a program could see.
func describeTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	tree, inodes := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "." {
			return nil // of the upper directory here, of umoci there
		}
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
		line += fmt.Sprintf(" time %d", st.Mtim.Sec)
		switch {
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d bytes %x", len(raw), sha256.Sum256(raw))
			if first, is := inodes[st.Ino]; is {
				line += " same as " + first
			} else {
				inodes[st.Ino] = rel
			}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " to " + target
		}
		tree[rel] = line + attributes(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func attributes(t testing.TB, path string) (found string) {
	list := make([]byte, 4096)
	n, err := unix.Llistxattr(path, list)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	names := strings.Split(string(list[:max(n, 0)]), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.") {
			value := make([]byte, 4096)
			n, err := unix.Lgetxattr(path, name, value)
			if err != nil {
				t.Fatal(err)
			}
			found += fmt.Sprintf(" %s=%q", name, value[:n])
		}
	}
	return found
}

func sameTree(t testing.TB, ours, theirs map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(theirs)) {
		if ours[path] != theirs[path] {
			t.Errorf("%s:\nours   %s\ntheirs %s", path, ours[path], theirs[path])
		}
	}
	for path, line := range ours {
		if _, is := theirs[path]; !is {
			t.Errorf("%s: only ours: %s", path, line)
		}
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners and an overlay mount")
	}
}

// TestTreesLikeUmoci: the layers, merged by the kernel's overlayfs, are the
// tree that umoci unpacks.
func TestTreesLikeUmoci(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Skip("needs umoci, the oracle for trees: apt-get install umoci")
	}
	for what, layers := range trees {
		if what == "whiteout behind its directory" {
			continue // umoci leaves the time of unpacking on the directory
		}
		t.Run(what, func(t *testing.T) { likeUmoci(t, ociImage(t, layers)) })
	}
	t.Run("Debian", func(t *testing.T) { likeUmoci(t, debianImage(t)) })
}

// debianImage is the base of the stories and of the demo: mmdebstrap's minimal
// Debian with Python. It also has device nodes, which are left out.
func debianImage(t *testing.T) v1.Image {
	t.Helper()
	base, err := filepath.Abs("../.cache/base.tar")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("../scripts/base.sh", base).CombinedOutput(); err != nil {
		t.Fatalf("base.sh: %v\n%s", err, out)
	}
	l, err := tarball.LayerFromFile(base, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(ociImage(t, nil), l)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// widths at which trees are looked at: each layer a directory of its own, the
// lowest merged, and all of them.
var widths = []int{maxStack, 2, 1}

// widthsOf leaves out those that make no difference to img and, unless there
// is time, most of a very large one.
func widthsOf(t *testing.T, img v1.Image) []int {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) == 1 || len(layers) > maxStack && os.Getenv("CONSENTRY_LONG") == "" {
		return widths[:1]
	}
	return widths
}

// pullWide pulls into a new store that mounts at most width directories.
func pullWide(t *testing.T, layout string, width int) *Image {
	t.Helper()
	s, _ := openTest(t)
	s.width = width
	img, err := s.Pull(t.Context(), source(t, layout), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Layers) > width {
		t.Fatalf("%d directories, want at most %d", len(img.Layers), width)
	}
	return img
}

// likeUmoci compares trees. What policy takes out is listed: device nodes, and
// attributes outside user.*, which describeTree does not look at.
func likeUmoci(t *testing.T, img v1.Image) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	p, err := ocidir.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img, ocidir.WithAnnotations(map[string]string{refName: "x"})); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(t.TempDir(), "bundle")
	if out, err := exec.Command("umoci", "unpack", "--image", dir+":x", bundle).CombinedOutput(); err != nil {
		t.Fatalf("umoci: %v\n%s", err, out)
	}
	theirs := describeTree(t, filepath.Join(bundle, "rootfs"))
	for path, line := range theirs {
		var mode uint32
		if _, err := fmt.Sscanf(line, "mode %o ", &mode); err == nil && (mode&unix.S_IFMT == unix.S_IFCHR || mode&unix.S_IFMT == unix.S_IFBLK) {
			t.Logf("left out by policy: device %s", path)
			delete(theirs, path)
		}
	}
	for _, width := range widthsOf(t, img) {
		got := pullWide(t, dir, width)
		sameTree(t, describeTree(t, mount(t, got.Layers)), theirs)
		t.Logf("%d files are the same, in %d directories", len(theirs), len(got.Layers))
	}
}

// TestMergedTree needs no umoci: what each tree must look like, by its paths.
func TestMergedTree(t *testing.T) {
	needRoot(t)
	for what, want := range map[string]string{
		"whiteouts":                      "a a/gone a/kept dir dir/new",
		"opaque":                         "o o/2 o/3 o/s o/s/2",
		"opaque root":                    "d d/new x",
		"whiteout and file in one layer": "d d/new f",
		"whiteouts of nothing":           "a a/f b b/f",
		"whiteout behind its directory":  "d d/new",
		"file in the place of a directory and back": "p p/3 q",
		"file and directory in one layer":           "p p/2",
		"hard link replaced later":                  "a b d l",
		"usr merge":                                 "bin hard run run/pid usr usr/bin usr/bin/more usr/bin/sh usr/bin/sub usr/bin/sub/x var var/run",
		"directory replaces a link":                 "l l/new real real/f",
		"same layer twice":                          "a b",
	} {
		t.Run(what, func(t *testing.T) {
			layout := writeLayout(t, ociImage(t, trees[what]))
			for _, width := range widths {
				img := pullWide(t, layout, width)
				tree := describeTree(t, mount(t, img.Layers))
				if got := strings.Join(slices.Sorted(maps.Keys(tree)), " "); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				sameLookups(t, img.Layers, tree)
			}
		})
	}
}

// sameLookups: a View sees every path that lies in any layer as the kernel does.
func sameLookups(t *testing.T, layers []string, merged map[string]string) {
	t.Helper()
	view, err := unpack.OpenView(layers)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	for _, dir := range layers {
		for _, path := range listing(t, dir) {
			path = strings.TrimPrefix(path, "/")
			if path == "" {
				continue
			}
			n, err := view.Lookup(path, false)
			if line, is := merged[path]; is != (err == nil) || is && !strings.HasPrefix(line, fmt.Sprintf("mode %o ", n.Info.Sys().(*syscall.Stat_t).Mode)) {
				t.Errorf("View finds %s as %+v, %v; the kernel says %q", path, n.Info, err, line)
			}
		}
	}
}

// TestMountInUserNamespace: an unprivileged user namespace, as the host makes
// one, takes the layers too.
func TestMountInUserNamespace(t *testing.T) {
	needRoot(t)
	s, _ := openTest(t)
	img, err := s.Pull(t.Context(), source(t, writeLayout(t, ociImage(t, trees["whiteouts"]))), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lower := slices.Clone(img.Layers)
	slices.Reverse(lower)
	base := t.TempDir()
	for _, dir := range []string{"m", "u", "w"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf("mount -t overlay overlay -o userxattr,lowerdir=%s,upperdir=%s/u,workdir=%s/w %s/m && cd %s/m && find . | sort | tr '\\n' ' '",
		strings.Join(lower, ":"), base, base, base, base)
	cmd := exec.Command("unshare", "-m", "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), ". ./a ./a/gone ./a/kept ./dir ./dir/new"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
