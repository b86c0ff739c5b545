package hcs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

var update = flag.Bool("update", false, "write the golden files")

const user = "S-1-5-21-1004336348-1177238915-682003330-512"

// TestDocument: a machine is what it was when a person last looked at it.
func TestDocument(t *testing.T) {
	for name, p := range map[string]plan{
		"machine": {kernel: `C:\Program Files\Consentry\guest\kernel`, initramfs: `C:\Program Files\Consentry\guest\initramfs`, memory: 704 << 20, cpus: 4, disks: []string{`C:\d\a.vhd`, `C:\d\b.vhd`}, user: user},
	} {
		got, err := document(p)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

// TestNothingElse: the machine has the devices we know, its socket is for one
// user, and what the kernel is told is what guestinit reads.
func TestNothingElse(t *testing.T) {
	raw, err := document(plan{memory: 3 << 20, cpus: 1, disks: []string{"a", "b"}, user: user})
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		VirtualMachine struct {
			Chipset struct {
				LinuxKernelDirect struct{ KernelCmdLine string }
			}
			ComputeTopology struct{ Memory struct{ SizeInMB int } }
			Devices         map[string]any
		}
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.VirtualMachine.Devices) != 2 || d.VirtualMachine.Devices["Scsi"] == nil || d.VirtualMachine.Devices["HvSocket"] == nil {
		t.Errorf("devices %v", d.VirtualMachine.Devices)
	}
	if size := d.VirtualMachine.ComputeTopology.Memory.SizeInMB; size != 4 {
		t.Errorf("%d MiB", size)
	}
	if n := strings.Count(string(raw), user); n != 2 {
		t.Errorf("the user is named %d times", n)
	}
	line, err := guestwire.ParseBootLine(d.VirtualMachine.Chipset.LinuxKernelDirect.KernelCmdLine)
	if err != nil || line != (guestwire.BootLine{Port: guestwire.ControlVsock, Disks: 2}) {
		t.Errorf("%+v, %v", line, err)
	}
}

func TestPlan(t *testing.T) {
	layer := filepath.Join(t.TempDir(), "aa.ext4")
	if err := os.WriteFile(layer, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	good := func() vmhost.Config {
		return vmhost.Config{Spec: sandbox.Spec{Image: &sandbox.Image{Lower: []string{layer}}}}
	}
	dir := filepath.Join(t.TempDir(), "disks")
	for range 2 {
		p, err := planOf(good(), dir, user)
		if err != nil || len(p.disks) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		made, err := os.ReadFile(p.disks[0])
		if err != nil || !bytes.HasPrefix(made[len(made)-512:], []byte("conectix")) {
			t.Errorf("no footer of a VHD: %v", err)
		}
	}
	for name, change := range map[string]func(*vmhost.Config){
		"runs an image":       func(c *vmhost.Config) { c.Spec.Image = nil },
		"folders":             func(c *vmhost.Config) { c.Spec.Mounts = []sandbox.Mount{{}} },
		"--ephemeral":         func(c *vmhost.Config) { c.Spec.Image.Upper = "u" },
		"at most 64 disks":    func(c *vmhost.Config) { c.Spec.Image.Lower = make([]string, 65) },
		"it is no ext4 image": func(c *vmhost.Config) { c.Spec.Image.Lower = []string{t.TempDir()} },
	} {
		c := good()
		change(&c)
		if _, err := planOf(c, dir, user); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatTheServiceSays(t *testing.T) {
	for said, want := range map[string]string{
		"": "", `{"Status":0,"ExitType":"GracefulExit"}`: "", `{"Status":0,"ExitType":"ForcedExit"}`: "",
		`{"Status":0,"ExitType":"UnexpectedExit"}`: "by itself", `{"Status":-2147024882}`: "not enough memory", "nonsense": `"nonsense"`,
	} {
		err := howItEnded(said)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", said, err, want)
		}
	}
	for said, stands := range map[string]bool{
		`{"SystemType":"VirtualMachine","State":"Running","RuntimeId":"x"}`: true,
		`{"SystemType":"Container","State":"Running"}`:                      false,
		`{"SystemType":"VirtualMachine","State":"Stopped"}`:                 false,
		"": false, "{}": false,
	} {
		if w := boundary(said); w.Stands != stands || !w.Required || w.Detail == "" {
			t.Errorf("%s: %+v", said, w)
		}
	}
	for r, want := range map[result]string{accessDenied: "Hyper-V Administrators", hypervisorMissing: "virtualization in the firmware", serviceMissing: "Microsoft-Hyper-V"} {
		if err := failed("x", r, ""); !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("0x%x: %v", uint32(r), err)
		}
	}
	if err := failed("x", 0x80004005, "{}"); errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "0x80004005") {
		t.Error(err)
	}
	if checkBuild(17763) == nil || checkBuild(19045) != nil {
		t.Error("builds of Windows")
	}
}
