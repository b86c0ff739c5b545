package longtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if err := Only("TestOne", "TestTwo"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestOne(*testing.T)    {}
func TestTwo(*testing.T)    {}
func TestOneTwo(*testing.T) {}

// TestOnly runs this package's tests in both ways, and looks which have run.
func TestOnly(t *testing.T) {
	for _, c := range []struct{ long, want, not string }{
		{"", "TestOneTwo", "TestOne TestTwo TestOnly"}, {"1", "TestOne TestTwo TestOneTwo", "TestOnly"},
	} {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.skip=TestOnly")
		cmd.Env = append(os.Environ(), "CONSENTRY_LONG="+c.long)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, name := range strings.Fields(c.want) {
			if !strings.Contains(string(out), "PASS: "+name+" ") {
				t.Errorf("CONSENTRY_LONG=%s: %s did not run", c.long, name)
			}
		}
		for _, name := range strings.Fields(c.not) {
			if strings.Contains(string(out), ": "+name+" ") {
				t.Errorf("CONSENTRY_LONG=%s: %s is in the report", c.long, name)
			}
		}
	}
}
