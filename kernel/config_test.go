package kernel

import (
	"os"
	"strings"
	"testing"
)

func TestEveryOptionSaysWhy(t *testing.T) {
	common := read(t, "config/common.config")
	for _, arch := range []string{"x86_64", "arm64"} {
		for name := range read(t, "config/"+arch+".config") {
			if _, twice := common[name]; twice {
				t.Errorf("%s stands in common.config and in %s.config", name, arch)
			}
		}
	}
}

// The walls that guestinit proves before an app starts must be asked for, and
// what apps are refused must not come back.
func TestWallsAreAskedFor(t *testing.T) {
	common := read(t, "config/common.config")
	for name, want := range map[string]string{
		"CONFIG_BPF_LSM": "y", "CONFIG_SECURITY_LANDLOCK": "y", "CONFIG_SECCOMP_FILTER": "y",
		"CONFIG_USER_NS": "y", "CONFIG_CGROUP_BPF": "y", "CONFIG_OVERLAY_FS": "y",
		"CONFIG_MODULES": "n", "CONFIG_IO_URING": "n", "CONFIG_BPF_UNPRIV_DEFAULT_OFF": "y",
	} {
		if got := common[name].value; got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	if lsm := common["CONFIG_LSM"].value; !strings.Contains(lsm, "bpf") || !strings.Contains(lsm, "landlock") {
		t.Errorf("CONFIG_LSM=%s lacks bpf or landlock: their programs would load and deny nothing", lsm)
	}
}

func TestReadOptionsRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no reason":         "CONFIG_A=y\n",
		"reason of another": "# why\nCONFIG_A=y\n\nCONFIG_B=y\n",
		"twice":             "# why\nCONFIG_A=y\nCONFIG_A=n\n",
		"a module":          "# why\nCONFIG_A=m\n",
		"no value":          "# why\nCONFIG_A=\n",
		"not an option":     "# why\nA=y\n",
		"comment amid":      "# why\nCONFIG_A=y\n# else\nCONFIG_B=y\n",
	} {
		if got, err := readOptions(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

func read(t *testing.T, file string) map[string]option {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options, err := readOptions(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(options) == 0 {
		t.Fatalf("%s asks for nothing", file)
	}
	byName := map[string]option{}
	for _, o := range options {
		byName[o.name] = o
	}
	return byName
}
