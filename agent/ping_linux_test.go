package agent

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestPingOfLoopback(t *testing.T) {
	for _, to := range []string{"127.0.0.1", "::1"} {
		conn, err := openPing(netip.MustParseAddr(to))
		if err != nil {
			t.Skipf("needs ping sockets or CAP_NET_RAW: %v", err)
		}
		file, err := conn.(passable).File()
		if err != nil {
			t.Fatal(err)
		}
		worker, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		worker.SetDeadline(time.Now().Add(10 * time.Second))
		message := append([]byte{0x12, 0x34}, "data"...)
		if _, err := worker.Write(message); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := worker.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], message) {
			t.Errorf("%s: %x came back, %v", to, buf[:n], err)
		}
		conn.(passable).cut()
		if n, err := worker.Read(buf); err == nil && n != 0 {
			t.Errorf("%s: %d bytes after the cut", to, n)
		}
		worker.Close()
		conn.Close()
	}
}
