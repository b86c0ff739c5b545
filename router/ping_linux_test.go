package router

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// TestPingIsARight pings with the system's ping from inside.
func TestPingIsARight(t *testing.T) {
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("needs ping")
	}
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		args := []string{"-" + strings.TrimPrefix(family, "ip"), "-c", "3", "-i", "0.2", "-W", "5", "ping.example"}
		l.broker.set(func(context.Context, sandbox.Flow) (net.Conn, error) {
			client, server := net.Pipe()
			go io.Copy(server, server)
			return client, nil
		})
		if out, err := l.command("ping", args...); err != nil || !strings.Contains(out, "3 received") {
			t.Errorf("ping: %v\n%s", err, out)
		}
		want := []sandbox.Flow{{Network: "icmp", Host: "ping.example", Port: 7}}
		if got := l.broker.flows(); !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
		for err, text := range map[error]string{
			sandbox.ErrDenied: "iltered|rohibited", sandbox.ErrHeld: "nreachable", errors.New("a fault"): "nreachable",
		} {
			l.broker.set(refusing(err))
			out, fault := l.command("ping", args...)
			if fault == nil || !slices.ContainsFunc(strings.Split(text, "|"), func(word string) bool { return strings.Contains(out, word) }) {
				t.Errorf("%v: ping says %v\n%s", err, fault, out)
			}
		}
	})
}
