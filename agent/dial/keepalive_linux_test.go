package dial

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestADeadFarEndIsNoticed: what is dialled keeps alive by itself, also in the
// process that it is passed to.
func TestADeadFarEndIsNoticed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.MustParseAddrPort(l.Addr().String())
	conn, err := New(Config{}).Dial(t.Context(), Route{}, Target{Network: "tcp", Host: at.Addr().String(), Port: at.Port()}, []netip.Addr{at.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const patience = 60 // seconds
	raw.Control(func(fd uintptr) {
		on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		after, fault := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		if err != nil || fault != nil || on == 0 || after > patience {
			t.Errorf("keepalive is %d, after %d s, %v, %v", on, after, err, fault)
		}
	})
}
