package router

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// TestDHCPClient lets a real client find out what it is told, and renew.
func TestDHCPClient(t *testing.T) {
	if _, err := exec.LookPath("busybox"); err != nil {
		t.Skip("needs busybox")
	}
	script := filepath.Join(t.TempDir(), "told")
	const echo = "#!/bin/sh\necho \"told $1 $ip $mask $router $dns $lease\"\n"
	if err := os.WriteFile(script, []byte(echo), 0o755); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, labOptions{})
	if out, err := l.command("ip", "-4", "addr", "flush", "dev", sandbox.LinkDevice); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := l.command("busybox", "udhcpc", "-i", sandbox.LinkDevice, "-f", "-q", "-n", "-t", "10", "-s", script)
	want := fmt.Sprintf("told bound %s 24 %s %s %d", appNet4.Addr(), sandbox.Gateway4, sandbox.Gateway4, dhcpLease)
	if err != nil || !strings.Contains(out, want) {
		t.Errorf("the client says %v, want %q in\n%s", err, want, out)
	}
	if asked := l.broker.flows(); len(asked) != 0 {
		t.Errorf("DHCP was asked about: %v", asked)
	}
}
