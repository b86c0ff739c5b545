// Package packaging_test makes the packages and installs them where they belong.
package packaging_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// built is where the programs are, built once for all packages of a test run, or
// by whoever gave PROGRAMS (scripts/package.sh).
var built = os.Getenv("PROGRAMS")

func TestMain(m *testing.M) {
	if built != "" {
		os.Exit(m.Run())
	}
	var err error
	if built, err = os.MkdirTemp("", "packages"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: run make deps", tool)
		}
	}
}

// pack makes the packages of one system, and returns their folder.
func pack(t *testing.T, system, version string, env ...string) string {
	t.Helper()
	out := t.TempDir()
	run(t, command("scripts/package.sh", system), append(env, "VERSION="+version, "OUT="+out, "PROGRAMS="+built, "SOURCE_DATE_EPOCH=1790000000")...)
	return out
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ".."
	return cmd
}

func run(t *testing.T, cmd *exec.Cmd, env ...string) string {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found[0]
}

// root is a Debian that nothing was installed into but what it consists of.
type root struct {
	t   *testing.T
	dir string
}

func freshRoot(t *testing.T) root {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: a package is installed into a root file system")
	}
	base, err := filepath.Abs("../.cache/package-root.tar")
	if err != nil {
		t.Fatal(err)
	}
	run(t, command("scripts/base.sh", base, "systemd,udev,uidmap,rpm"))
	r := root{t, t.TempDir()}
	run(t, command("tar", "-xf", base, "-C", r.dir, "--exclude=./dev/*"))
	r.in("/", "useradd -m u && mkdir -p /run/user && install -d -o u -m 700 /run/user/1000")
	return r
}

// in runs a shell as root, below the root, with processes and a network of its
// own: nothing that it starts is left.
func (r root) in(dir, script string) string {
	r.t.Helper()
	// Not chroot alone: the kernel keeps who is in one from user namespaces.
	inside := `set -e; mount --bind "$0" "$0"; cd "$0"; mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs none tmp
pivot_root . .; umount -l .; cd /; exec /bin/sh -ec "cd '` + dir + `'; $1"`
	return run(r.t, command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "/bin/sh", "-c", inside, r.dir, script),
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "DBUS_SESSION_BUS_ADDRESS=", "CONSENTRY_HOME=")
}

// What the system's own programs note about any package.
var ofTheSystem = []string{"var/lib/dpkg", "var/lib/rpm", "usr/lib/sysimage/rpm", "var/log", "var/cache/ldconfig", "proc", "dev", "tmp", "run/systemd", "root/.rpmdb"}

// look lists every file with what it is.
func (r root) look() map[string]string {
	r.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(r.dir, path)
		if err != nil {
			return err
		}
		if slices.Contains(ofTheSystem, name) {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		is := fmt.Sprint(info.Mode(), owner.Uid, owner.Gid)
		switch {
		case info.Mode().IsRegular():
			is += fmt.Sprint(" ", info.Size(), " ", info.ModTime())
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			is += " to " + to
		}
		found[name] = is
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// changed is what two looks differ in.
func changed(before, after map[string]string) (list []string) {
	for name, is := range after {
		if before[name] != is {
			list = append(list, name)
		}
	}
	for name := range before {
		if _, still := after[name]; !still {
			list = append(list, name+" has gone")
		}
	}
	slices.Sort(list)
	return list
}

const (
	enabled = "etc/systemd/system/sockets.target.wants/consentry-bpf.socket"
	// A user whose agent has started, and left something behind.
	asUser = "su u -c 'export XDG_RUNTIME_DIR=/run/user/1000; %s'"
)

// cycle installs a package, uses it, upgrades and removes it.
func (r root) cycle(install, upgrade, remove string) {
	t := r.t
	t.Helper()
	before := r.look()
	r.in("/packages", install)
	if said := r.in("/", "systemd-analyze verify --man=no --recursive-errors=no /usr/lib/systemd/system/consentry-bpf.socket /usr/lib/systemd/system/consentry-bpf.service 2>&1; XDG_RUNTIME_DIR=/tmp systemd-analyze --user verify --man=no --recursive-errors=no /usr/lib/systemd/user/consentry.service 2>&1"); said != "" {
		t.Errorf("units: %s", said)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, enabled)); err != nil {
		t.Error("the socket is not enabled: ", err)
	}
	if said := r.in("/", "consentry --version; test -s /usr/share/man/man1/consentry-run.1.gz; su u -c 'bash -c \". /usr/share/bash-completion/completions/consentry; complete -p consentry\"'"); !strings.Contains(said, "consentry 1.0.0") {
		t.Errorf("it says %q", said)
	}
	user := func(script string) string { return r.in("/", fmt.Sprintf(asUser, script)) }
	installed := r.look()
	user("consentry version >/dev/null && consentry profile set name=Ada && consentry volume create kept")
	kept := changed(installed, r.look())
	if len(kept) == 0 || !slices.ContainsFunc(kept, func(name string) bool { return strings.HasPrefix(name, "home/u/.local/share/consentry/") }) {
		t.Fatalf("an agent that was used keeps %v", kept)
	}
	r.in("/", "systemctl disable --quiet consentry-bpf.socket") // the owner's wish
	r.in("/packages", upgrade)
	if said := r.in("/", "consentry --version"); said != "consentry 1.0.0\n" { // the programs are the same
		t.Errorf("after the upgrade it says %q", said)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, enabled)); err == nil {
		t.Error("an upgrade enables what was disabled")
	}
	r.in("/", "systemctl enable --quiet consentry-bpf.socket")
	if said := user("consentry volume ls && consentry purge </dev/null || true"); !strings.Contains(said, "kept") || !strings.Contains(said, "home/u/.local/share/consentry") {
		t.Errorf("before it is told to, purge says %q", said)
	}
	if said := user("consentry volume ls"); !strings.Contains(said, "kept") {
		t.Errorf("purge that was not told to has removed something: %s", said)
	}
	without := r.dir + "-2" // a second root, where the user does not purge
	run(t, command("cp", "-a", r.dir, without))
	defer os.RemoveAll(without)
	second := root{t, without}
	second.in("/packages", remove)
	for _, name := range changed(before, second.look()) {
		if !strings.HasPrefix(name, "home/u/.local/") && name != "home/u/.local" && !strings.HasPrefix(name, "run/user/1000/consentry") && name != "home/u/.config" && name != "run/user/1000" && name != "home/u" {
			t.Errorf("after it was removed %s is left", name)
		}
	}
	if said := user("consentry purge --yes"); !strings.HasSuffix(said, "everything is removed\n") {
		t.Errorf("purge says %q", said)
	}
	r.in("/packages", remove)
	for _, name := range changed(before, r.look()) {
		if name != "home/u/.local" && name != "home/u/.local/share" { // the XDG folders
			t.Errorf("after purge and removal %s is left", name)
		}
	}
}

func (r root) bring(from, as string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, as), raw, 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestPackagesOfLinux(t *testing.T) {
	need(t, "mmdebstrap", "unshare", "rpm", "dpkg-deb", "systemd-analyze", "groff")
	old, next := pack(t, "linux", "1.0.0"), pack(t, "linux", "1.0.1")
	again := pack(t, "linux", "1.0.0")
	for _, name := range []string{"SHA256SUMS", "consentry_1.0.0-1_amd64.deb", "consentry-1.0.0-1.x86_64.rpm", "consentry_1.0.0_linux_amd64.spdx.json"} {
		first, err := os.ReadFile(filepath.Join(old, name))
		second, err2 := os.ReadFile(filepath.Join(again, name))
		if err != nil || err2 != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is another one the second time (%v %v)", name, err, err2)
		}
	}
	sums := command("sha256sum", "--check", "--quiet", "SHA256SUMS")
	sums.Dir = old
	run(t, sums)
	theList(t, one(t, old+"/*.spdx.json"))

	t.Run("deb", func(t *testing.T) {
		r := freshRoot(t)
		r.bring(one(t, old+"/*.deb"), "old.deb")
		r.bring(one(t, next+"/*.deb"), "next.deb")
		r.cycle("dpkg -i old.deb", "dpkg -i next.deb", "dpkg --purge consentry")
	})
	t.Run("rpm", func(t *testing.T) {
		r := freshRoot(t)
		// Folders that packages of Fedora itself have.
		r.in("/", "mkdir -p /usr/share/applications /usr/share/fish/vendor_completions.d /usr/share/icons /usr/share/zsh/site-functions")
		r.bring(one(t, old+"/*.rpm"), "old.rpm")
		r.bring(one(t, next+"/*.rpm"), "next.rpm")
		r.cycle("rpm -i --nodeps old.rpm", "rpm -U --nodeps next.rpm", "rpm -e consentry")
	})
}

// theList is the SBOM: it names what the programs were linked from.
func theList(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		SPDXVersion string
		Packages    []struct{ Name, SPDXID, VersionInfo string }
		Files       []struct {
			FileName  string
			Checksums []struct{ ChecksumValue string }
		}
		Relationships []struct{ SpdxElementID, RelatedSpdxElement string }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"SPDXRef-DOCUMENT": true}
	var names []string
	for _, p := range list.Packages {
		known[p.SPDXID] = true
		names = append(names, p.Name)
	}
	for _, want := range []string{"consentry", "stdlib", "github.com/tetratelabs/wazero", "gvisor.dev/gvisor", "fyne.io/systray"} {
		if !slices.Contains(names, want) {
			t.Errorf("the list has no %s", want)
		}
	}
	for _, f := range list.Files {
		known["SPDXRef-File-"+strings.TrimPrefix(f.FileName, "./")] = true
		program, err := os.ReadFile(filepath.Join(built, "linux-amd64", f.FileName))
		if sum := fmt.Sprintf("%x", sha256.Sum256(program)); err != nil || len(f.Checksums) != 1 || sum != f.Checksums[0].ChecksumValue {
			t.Errorf("%s: %v %v, want %s", f.FileName, f.Checksums, err, sum)
		}
	}
	for _, r := range list.Relationships {
		if !known[r.SpdxElementID] || !known[r.RelatedSpdxElement] {
			t.Errorf("a relation of nothing: %+v", r)
		}
	}
}
