//go:build linux

package linuxhost_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func ownerOf(t *testing.T, path string) (uid, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

func TestLayersAreSeenWithTheirOwnersAndNeverWritten(t *testing.T) {
	b := newBench(t)
	top := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(top, "data"), 0o755))
	for path, text := range map[string]string{filepath.Join(b.image, "data/a"): "low", filepath.Join(b.image, "data/b"): "low", filepath.Join(top, "data/b"): "high"} {
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	must(t, os.Chown(filepath.Join(b.image, "data/a"), 1000, 1001))
	spec := b.spec(sh("cat /data/a /data/b; stat -c ' %u:%g' /data/a; stat -c %u:%g /bin/busybox; echo changed >/data/b; rm /data/a; echo $?; ls /data")...)
	spec.Image.Lower = append(spec.Image.Lower, top)
	dir := b.upper(&spec)
	got := b.run(spec)
	if got.out != "lowhigh 1000:1001\n0:0\n1\nb\n" && got.out != "lowhigh 1000:1001\n0:0\n0\nb\n" {
		t.Fatalf("got %+v", got)
	}
	for path, want := range map[string]string{filepath.Join(b.image, "data/a"): "low", filepath.Join(top, "data/b"): "high"} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("layer file %s is now %q, %v", path, text, err)
		}
	}
	if uid, _ := ownerOf(t, filepath.Join(dir, "upper/data/b")); uid != appRoot() {
		t.Errorf("what the app wrote belongs to %d on the host, want %d", uid, appRoot())
	}
}

// TestAsManyLayersAsImagesHave: package oci hands out no more than 128.
func TestAsManyLayersAsImagesHave(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("ls /many | wc -l; cat /many/all")...)
	for n := 1; n < 128; n++ {
		layer := t.TempDir()
		must(t, os.Mkdir(filepath.Join(layer, "many"), 0o755))
		for _, name := range []string{"all", strconv.Itoa(n)} {
			must(t, os.WriteFile(filepath.Join(layer, "many", name), []byte(strconv.Itoa(n)), 0o644))
		}
		spec.Image.Lower = append(spec.Image.Lower, layer)
	}
	b.upper(&spec)
	if got := b.run(spec); got.out != "128\n127" {
		t.Errorf("got %+v", got)
	}
}

func TestUpperPersistsMemoryDoesNot(t *testing.T) {
	b := newBench(t)
	first := b.spec(sh("echo kept >/data/f; rm /etc/noexec")...)
	dir := b.upper(&first)
	b.run(first)
	again := b.spec(sh("cat /data/f; ls /etc")...)
	again.Image.Upper, again.Image.Work = filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if got := b.run(again); got.out != "kept\n" {
		t.Errorf("second run on the same upper: %+v", got)
	}
	b.run(b.spec(sh("echo lost >/data/f")...))
	if got := b.run(b.spec(sh("cat /data/f; ls /etc")...)); got.out != "noexec\n" {
		t.Errorf("second run in memory: %+v", got)
	}
}

func TestShare(t *testing.T) {
	const owner, group = 4242, 4343
	b := newBench(t)
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "mine"), []byte("mine\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "roots"), []byte("roots\n"), 0o600))
	device := filepath.Join(folder, "zero")
	must(t, syscall.Mknod(device, syscall.S_IFCHR|0o666, 1<<8|5))
	must(t, os.Chmod(device, 0o666))
	for _, path := range []string{folder, filepath.Join(folder, "mine")} {
		must(t, os.Chown(path, owner, group))
	}
	for name, readOnly := range map[string]bool{"read-only": true, "writable": false} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			file := strings.ReplaceAll(name, "-", "")
			spec := b.spec(sh(fmt.Sprintf("cat /mnt/in/mine; stat -c %%u:%%g /mnt/in/mine; cat /mnt/in/roots; head -c 1 /mnt/in/zero | wc -c; echo x >/mnt/in/%s", file))...)
			spec.Process.User = sandbox.User{UID: 1000, GID: 1000}
			spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/mnt/in", ReadOnly: readOnly}}
			got := b.run(spec)
			if !strings.HasPrefix(got.out, "mine\n1000:1000\n0\n") || strings.Contains(got.out, "roots") {
				t.Errorf("got %+v", got)
			}
			_, err := os.Stat(filepath.Join(folder, file))
			if readOnly {
				if !strings.Contains(got.err, "Read-only") || !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a read-only share was written: %q, %v", got.err, err)
				}
				return
			}
			must(t, err)
			if uid, gid := ownerOf(t, filepath.Join(folder, file)); uid != owner || gid != group {
				t.Errorf("a new file belongs to %d:%d, want %d:%d", uid, gid, owner, group)
			}
		})
	}
	b.t = t
}

func TestVolume(t *testing.T) {
	b := newBench(t)
	volume := filepath.Join(b.state, "volume")
	must(t, os.Mkdir(volume, 0o755))
	for range 2 {
		spec := b.spec(sh("echo line >>/var/lib/v/f; cat /var/lib/v/f")...)
		spec.Process.User = sandbox.User{UID: 70, GID: 70}
		spec.Mounts = []sandbox.Mount{{Source: volume, Target: "/var/lib/v", Volume: true}}
		if got := b.run(spec); got.exit.Code != 0 {
			t.Fatalf("got %+v", got)
		}
	}
	text, err := os.ReadFile(filepath.Join(volume, "f"))
	if err != nil || string(text) != "line\nline\n" {
		t.Fatalf("volume holds %q, %v", text, err)
	}
	if uid, _ := ownerOf(t, filepath.Join(volume, "f")); uid != 70 {
		t.Errorf("owner %d", uid)
	}
}

func TestMountsThatAreRefused(t *testing.T) {
	b := newBench(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink("/etc", link))
	fine := t.TempDir()
	for name, m := range map[string]sandbox.Mount{
		"proc":             {Source: "/proc", Target: "/mnt"},
		"below sys":        {Source: "/sys/kernel", Target: "/mnt"},
		"run":              {Source: "/run", Target: "/mnt"},
		"everything":       {Source: "/", Target: "/mnt"},
		"the agent's":      {Source: b.state, Target: "/mnt"},
		"above the agents": {Source: filepath.Dir(b.state), Target: "/mnt"},
		"a link":           {Source: link, Target: "/mnt"},
		"a file":           {Source: "/etc/passwd", Target: "/mnt"},
		"relative":         {Source: "etc", Target: "/mnt"},
		"over the root":    {Source: fine, Target: "/"},
		"over proc":        {Source: fine, Target: "/proc/sys"},
		"not clean":        {Source: fine, Target: "/mnt/../proc"},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			spec := b.spec("true")
			spec.Mounts = []sandbox.Mount{m}
			if got, err := b.try(spec); err == nil {
				t.Fatalf("mounted: %+v", got)
			}
		})
	}
	b.t = t
}

// TestImageThatPutsLinksInOurWay: CVE-2025-31133 and its kin. The start is
// refused, and the host is as it was.
func TestImageThatPutsLinksInOurWay(t *testing.T) {
	b := newBench(t)
	victim := t.TempDir()
	for _, c := range [][2]string{{"proc", victim}, {"proc", "data"}, {"dev", "/data"}, {"sys", "data"}} {
		name := c[0]
		t.Run(name+" to "+c[1], func(t *testing.T) {
			b.t = t
			layer := t.TempDir()
			must(t, os.Symlink(c[1], filepath.Join(layer, name)))
			spec := b.spec("true")
			spec.Image.Lower = append(spec.Image.Lower, layer)
			if got, err := b.try(spec); err == nil {
				t.Fatalf("started: %+v", got)
			} else if !strings.Contains(err.Error(), "sandbox: kernel file systems: /"+name) {
				t.Errorf("the error does not name the step: %v", err)
			}
		})
	}
	b.t = t
	t.Run("files", func(t *testing.T) {
		b.t = t
		host := filepath.Join(victim, "host")
		must(t, os.WriteFile(host, []byte("untouched"), 0o666))
		layer := t.TempDir()
		must(t, os.Mkdir(filepath.Join(layer, "etc"), 0o755))
		must(t, os.Symlink(host, filepath.Join(layer, "etc/resolv.conf")))
		must(t, os.Symlink("../../../../../../../../"+victim, filepath.Join(layer, "out")))
		spec := b.spec(sh("cat /etc/resolv.conf")...)
		spec.Image.Lower = append(spec.Image.Lower, layer)
		spec.Image.Files = map[string]string{"/etc/resolv.conf": "ours\n"}
		if got := b.run(spec); got.out != "ours\n" {
			t.Errorf("got %+v", got)
		}
		spec = b.spec("true")
		spec.Image.Lower = append(spec.Image.Lower, layer)
		spec.Image.Files = map[string]string{"/out/host": "ours\n"}
		//nolint:errcheck // whether it starts is not the question
		b.try(spec)
		if text, err := os.ReadFile(host); err != nil || string(text) != "untouched" {
			t.Errorf("the host's file is now %q, %v", text, err)
		}
	})
	b.t = t
}

func TestSpecsThatAreRefused(t *testing.T) {
	b := newBench(t)
	for name, change := range map[string]func(*sandbox.Spec){
		"no image":     func(s *sandbox.Spec) { s.Image = nil },
		"a module":     func(s *sandbox.Spec) { s.Module = &sandbox.Module{} },
		"host ids":     func(s *sandbox.Spec) { s.Image.IDBase = 0 },
		"last ids":     func(s *sandbox.Spec) { s.Image.IDBase = 1<<32 - 1 },
		"no layer":     func(s *sandbox.Spec) { s.Image.Lower = nil },
		"no command":   func(s *sandbox.Spec) { s.Process.Args = nil },
		"path as id":   func(s *sandbox.Spec) { s.ID = "../x" },
		"foreign user": func(s *sandbox.Spec) { s.Process.User.UID = 65536 },
		"upper alone":  func(s *sandbox.Spec) { s.Image.Upper = t.TempDir() },
		"lost layer":   func(s *sandbox.Spec) { s.Image.Lower = []string{"/nowhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			spec := b.spec("true")
			change(&spec)
			r, w := pipe(t)
			out := collect(r)
			spec.Process.Stdio[1] = w
			if _, err := b.host.Start(context.Background(), spec, nil); err == nil {
				t.Fatal("started")
			}
			<-out // our end was closed
		})
	}
}
