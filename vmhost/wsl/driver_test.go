package wsl_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/wsl"
)

const goodVersions = `WSL version: 2.6.1.0
Kernel version: 6.6.87.2-1
WSLg version: 1.0.66
MSRDC version: 1.2.6074
Direct3D version: 1.611.1-81528511
DXCore version: 10.0.26100.1-240331-1435.ge-release
Windows version: 10.0.26100.6584
`

const goodStatus = "Default Distribution: Ubuntu\nDefault Version: 2\n"

func newDriver(t testing.TB, w *world) *wsl.Driver {
	t.Helper()
	guest := filepath.Join(tempDir(t), "consentry-guest")
	must(t, os.WriteFile(guest, []byte("program"), 0o600))
	return wsl.New(wsl.Config{WSL: w.program("wsl.exe"), Guest: guest, Dir: tempDir(t)})
}

// TestCheck: each thing that is missing is named with what to do, in whatever
// language and encoding wsl.exe says it.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		version, status answer
		want            []string // none: nothing is missing
	}{
		"all there":  {answer{Out: goodVersions}, answer{Out: goodStatus}, nil},
		"wide":       {answer{Out: goodVersions, Wide: true}, answer{Out: goodStatus, Wide: true}, nil},
		"German":     {answer{Out: "WSL-Version: 2.6.1.0\nKernelversion: 6.6.87.2-1\nWSLg-Version: 1.0.66\n", Wide: true}, answer{Out: "Standardversion: 2\n", Wide: true}, nil},
		"Chinese":    {answer{Out: "WSL 版本: 2.6.1.0\n内核版本: 6.6.87.2-1\n", Wide: true}, answer{Out: "默认版本: 2\n", Wide: true}, nil},
		"old kernel": {answer{Out: "WSL version: 2.0.9.0\nKernel version: 5.15.133.1-1\n", Wide: true}, answer{}, []string{"kernel is 5.15, older than 5.19", "wsl --update"}},
		"old WSL":    {answer{Out: "Invalid command line option: --version\n", Wide: true, Code: 1}, answer{}, []string{"knows no --version", "wsl --update"}},
		"no version": {answer{Out: "hello\n"}, answer{}, []string{`said "hello\n"`, "wsl --update"}},
		"no virtualization": {answer{Out: goodVersions}, answer{
			Out:  "WSL2 is unable to start because virtualization is not enabled on this machine.\nError code: Wsl/Service/CreateVm/HCS/HCS_E_HYPERV_NOT_INSTALLED\n",
			Wide: true, Code: 1,
		}, []string{"no virtual machine can be started", "firmware"}},
		"feature off": {answer{Out: goodVersions}, answer{Out: "Fehlercode: Wsl/WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED\n", Wide: true, Code: 1}, []string{"feature for WSL is off", "wsl --install"}},
		"no distro":   {answer{Out: goodVersions}, answer{Out: "no installed distributions\n", Wide: true, Code: 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answers(map[string]answer{"wsl --version": c.version, "wsl --status": c.status})
			err := newDriver(t, w).Check(t.Context())
			if (err == nil) != (c.want == nil) || err != nil && !errors.Is(err, sandbox.ErrNotSupported) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
}

func TestCheckWithoutWSL(t *testing.T) {
	d := wsl.New(wsl.Config{WSL: filepath.Join(tempDir(t), "wsl.exe"), Guest: "nothing-there"})
	if err := d.Check(t.Context()); !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "wsl --install") {
		t.Error(err)
	}
	w := newWorld(t)
	w.answers(map[string]answer{"wsl --version": {Out: goodVersions}, "wsl --status": {}})
	d = wsl.New(wsl.Config{WSL: w.program("wsl.exe"), Guest: "nothing-there"})
	if err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "install consentry again") {
		t.Error(err)
	}
}

// imageSpec is a run of one layer, which is put where the name says.
func imageSpec(t testing.TB, layer string) sandbox.Spec {
	path := filepath.Join(tempDir(t), layer)
	must(t, os.WriteFile(path, []byte("an ext4 image"), 0o600))
	return sandbox.Spec{ID: "run1", Name: "app", Image: &sandbox.Image{Lower: []string{path}}}
}

const program = "wsl --distribution consentry --user root --cd / --exec /consentry/guest wsl "

// TestCalls: what Windows is told, word for word, from no distro to the first run
// and after the next update.
func TestCalls(t *testing.T) {
	w := newWorld(t)
	guest := map[string]answer{
		program + "layers": {}, program + "put": {}, program + "run": {Out: "\x00", Code: 3}, program + "renew": {},
		program + "digest": {Out: "of another consentry\n"},
	}
	w.answers(guest)
	spec := imageSpec(t, "aa11.ext4")
	spec.Mounts = []sandbox.Mount{{Source: filepath.Join("C:", "volumes", "One"), Target: "/data", Volume: true}}
	spec.Image.Upper = filepath.Join("C:", "runs", "run1", "upper")
	boot := func(d *wsl.Driver, spec sandbox.Spec) error {
		m, err := d.Boot(t.Context(), vmhost.Config{Spec: spec})
		if err == nil {
			err = m.Wait(context.Background())
		}
		return err
	}
	d := newDriver(t, w)
	if err := boot(d, spec); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("how it ended: %v", err)
	}
	if call := w.called("wsl --import consentry "); !strings.HasSuffix(call, ".tar --version 2") {
		t.Error(call)
	}
	w.called(program + "put aa11.ext4 13")
	want := program + "run -id run1 -layer aa11.ext4 -volume " + volumeOf(w.calls()) + " -keep"
	w.called(want)

	w.forget()
	guest[program+"layers"] = answer{Out: "aa11.ext4\n"}
	w.answers(guest)
	boot(d, spec)
	if got := w.calls(); len(got) != 2 || got[0] != program+"layers" || got[1] != want {
		t.Errorf("the second time: %q", got)
	}

	w.forget()
	guest[program+"layers"] = answer{Out: "aa11.ext4\nbb22.ext4\n"} // of which the store has one
	guest[program+"drop"] = answer{}
	w.answers(guest)
	boot(newDriver(t, w), spec) // of another program
	w.called(program + "drop bb22.ext4")
	w.called(program + "digest")
	if call := w.called(program + "renew "); !strings.HasSuffix(call, " 7") {
		t.Error(call)
	}
	w.forget()
	host := vmhost.NewHost(vmhost.HostConfig{Driver: d})
	must(t, host.Purge(t.Context()))
	must(t, host.Purge(t.Context())) // nothing is left to remove
	w.called("wsl --unregister consentry")
}

func volumeOf(calls []string) string {
	for _, call := range calls {
		if _, rest, found := strings.Cut(call, "-volume "); found {
			return strings.Fields(rest)[0]
		}
	}
	return "(none)"
}

// TestRefused: what cannot be shown to an app in WSL starts nothing.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.answers(map[string]answer{program: {}})
	folder := imageSpec(t, "aa11.ext4")
	folder.Mounts = []sandbox.Mount{{Source: `C:\Users\me`, Target: "/share"}}
	name := imageSpec(t, "aa11 $(calc).ext4")
	tree := imageSpec(t, "aa11.ext4")
	tree.Image.Lower = []string{tempDir(t)}
	for what, spec := range map[string]sandbox.Spec{"use a volume": folder, "no name in a distro": name, "no ext4 image": tree} {
		_, err := newDriver(t, w).Boot(t.Context(), vmhost.Config{Spec: spec})
		if err == nil || !strings.Contains(err.Error(), what) && !strings.Contains(err.Error(), "001") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, call := range w.calls() {
		if strings.HasPrefix(call, program+"run") {
			t.Errorf("started: %s", call)
		}
	}
}

// TestRootfs: guestinit, and nothing else that runs.
func TestRootfs(t *testing.T) {
	var archive, again bytes.Buffer
	must(t, wsl.WriteRootfs(&archive, strings.NewReader("program"), 7))
	must(t, wsl.WriteRootfs(&again, strings.NewReader("program"), 7))
	if !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Error("the same program makes another distro")
	}
	var files, programs []string
	var conf string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s belongs to %d", h.Name, h.Uid)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if h.Typeflag == tar.TypeSymlink {
			if h.Name != "bin/sh" || h.Linkname != "/consentry/guest" {
				t.Errorf("%s leads to %s", h.Name, h.Linkname)
			}
			continue
		}
		files = append(files, h.Name)
		if h.Mode&0o111 != 0 {
			programs = append(programs, h.Name)
		}
		raw, err := io.ReadAll(r)
		must(t, err)
		if h.Name == "etc/wsl.conf" {
			conf = string(raw)
		}
	}
	if want := []string{"etc/group", "etc/passwd", "etc/wsl.conf", "consentry/guest"}; !slices.Equal(files, want) {
		t.Errorf("files %q", files)
	}
	if !slices.Equal(programs, []string{"consentry/guest"}) {
		t.Errorf("programs %q", programs)
	}
	for _, want := range []string{"[automount]\nenabled=false\nmountFsTab=false\n", "[interop]\nenabled=false\nappendWindowsPath=false\n"} {
		if !strings.Contains(conf, want) {
			t.Errorf("wsl.conf lacks %q", want)
		}
	}
	if err := wsl.WriteRootfs(io.Discard, strings.NewReader("pro"), 7); err == nil {
		t.Error("half a program makes a distro")
	}
}
