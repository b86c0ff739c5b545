package agent

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// TestUDPFlowCarriesDatagramsAndErrors looks at a flow from the worker's end of
// the pair, with a far end that is first not there and then is.
func TestUDPFlowCarriesDatagramsAndErrors(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		place, err := net.ListenPacket("udp", loopback)
		if err != nil {
			t.Fatal(err)
		}
		at := place.LocalAddr().(*net.UDPAddr)
		place.Close()
		udp, err := net.DialUDP("udp", nil, at)
		if err != nil {
			t.Fatal(err)
		}
		flow, err := newUDPFlow(udp)
		if err != nil {
			t.Fatal(err)
		}
		defer flow.Close()
		file, err := flow.File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		worker, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		defer worker.Close()
		worker.SetDeadline(time.Now().Add(20 * time.Second))
		read := func() ([]byte, error) {
			buf := make([]byte, wire.MaxDatagram)
			n, err := worker.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			return wire.Unframe(buf[:n])
		}
		send := func(data string) {
			t.Helper()
			if err := wire.SendDatagram(worker, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		send("is anybody there?")
		if data, err := read(); !errors.Is(err, sandbox.Trouble{Kind: sandbox.PortUnreachable}) {
			t.Errorf("%s: a port that is closed: %q, %v", loopback, data, err)
		}
		server, err := net.ListenUDP("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		for _, data := range []string{"hello", "", "again"} {
			send(data)
			buf := make([]byte, 100)
			n, from, err := server.ReadFromUDP(buf)
			if err != nil || string(buf[:n]) != data {
				t.Fatalf("%s: the server got %q, %v, want %q", loopback, buf[:n], err, data)
			}
			server.WriteToUDP(buf[:n], from)
			if back, err := read(); err != nil || string(back) != data {
				t.Errorf("%s: %q came back as %q, %v", loopback, data, back, err)
			}
		}
		in, out := flow.bytes()
		for end := time.Now().Add(20 * time.Second); in != 10 && time.Now().Before(end); in, out = flow.bytes() {
			time.Sleep(time.Millisecond) // what has arrived is counted a moment later
		}
		if in != 10 || out < 10 {
			t.Errorf("%s: %d bytes in, %d out", loopback, in, out)
		}
	}
}
