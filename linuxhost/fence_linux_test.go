package linuxhost

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/linuxhost/bpfd"
)

// What doctor says where consentry-bpf cannot be asked, by what is wrong with its
// socket.
func TestRemedyOfFences(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: left, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for socket, want := range map[string]string{
		filepath.Join(dir, "none"): "systemctl enable --now consentry-bpf.socket", left: "systemctl restart consentry-bpf.socket",
	} {
		_, err := bpfd.Dial(socket, "/")
		if !errors.Is(err, bpfd.ErrAbsent) {
			t.Fatal(err)
		}
		if got := fencesRemedy(err, socket); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q in it", err, got, want)
		}
	}
	if got := fencesRemedy(os.ErrPermission, ""); !strings.Contains(got, "SocketGroup=") {
		t.Errorf("not allowed: %q", got)
	}
}
