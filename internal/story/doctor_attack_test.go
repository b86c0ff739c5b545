//go:build linux

package story

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/internal/asuser"
)

// attacked is what `doctor --attack --json` says of an attack.
type attacked struct {
	Name, Problem string
	Held          bool
	Refused       []string
}

func (w *world) attacked() (list []attacked, code int) {
	w.t.Helper()
	r := w.result("doctor", "--attack", "--json", "--waive", "ebpf-lsm")
	must(w.t, json.Unmarshal([]byte(r.out), &list))
	return list, r.code
}

// TestDoctorAttacks: what a user is shown of the machine's walls, as root's
// agent and as a user's.
func TestDoctorAttacks(t *testing.T) {
	for name, worldFor := range map[string]func(*testing.T) *world{
		"root": newWorld,
		"user": func(t *testing.T) *world { return worldOf(t, asuser.New(t, asuser.Desktop{})) },
	} {
		t.Run(name, func(t *testing.T) {
			w := worldFor(t)
			list, code := w.attacked()
			if code != 0 || len(list) != len(attack.Probes)+len(attack.ModuleProbes) {
				t.Errorf("exit %d, %d attacks", code, len(list))
			}
			for _, a := range list {
				if !a.Held || len(a.Refused) == 0 {
					t.Errorf("%s: %v %s", a.Name, a.Refused, a.Problem)
				}
			}
		})
	}
}

// TestDoctorSeesThatNothingWasTried: an attack that says nothing has not held.
func TestDoctorSeesThatNothingWasTried(t *testing.T) {
	w := newWorld(t)
	folder := filepath.Join(filepath.Dir(built.program), "attack")
	must(t, os.Rename(folder, folder+".real"))
	t.Cleanup(func() { must(t, os.RemoveAll(folder)); must(t, os.Rename(folder+".real", folder)) })
	noProbe := exec.Command("go", "run", "./tools/mkimage", "-o", filepath.Join(folder, "image"), "-layer", ".cache/base.tar")
	noProbe.Dir = "../.."
	if out, err := noProbe.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list, code := w.attacked()
	if code != 1 || len(list) != len(attack.Probes) {
		t.Errorf("exit %d, %d attacks", code, len(list))
	}
	for _, a := range list {
		if a.Held || a.Problem == "" {
			t.Errorf("%s has held, and was not tried", a.Name)
		}
	}
}
