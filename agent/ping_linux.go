package agent

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// pingEvery is how often an app may ping one host: enough for every tool,
// and no flood that the user would answer for.
const pingEvery = 5 * time.Millisecond

// pingFlow carries the echo messages that package router describes: the ICMP
// socket stays here, the worker gets the end of a socketpair.
type pingFlow struct {
	net.Conn // our end of the pair
	socket   *icmp.PacketConn
	to       netip.Addr
	id       int
	raw      bool
	theirs   *os.File
	relays   sync.WaitGroup
	in, out  atomic.Int64
}

// openPing opens a ping socket, which needs no right but may be closed to the
// group by net.ipv4.ping_group_range; then a raw one, which needs CAP_NET_RAW.
func openPing(to netip.Addr) (net.Conn, error) {
	udp, raw, any := "udp4", "ip4:icmp", "0.0.0.0"
	if to.Is6() {
		udp, raw, any = "udp6", "ip6:ipv6-icmp", "::"
	}
	f := &pingFlow{to: to}
	var err error
	if f.socket, err = icmp.ListenPacket(udp, any); err != nil {
		f.raw = true
		if f.socket, err = icmp.ListenPacket(raw, any); err != nil {
			return nil, fmt.Errorf("ping: %w; let the agent's group ping: sysctl net.ipv4.ping_group_range", err)
		}
	}
	var id [2]byte
	rand.Read(id[:]) //nolint:errcheck // never fails
	f.id = int(binary.BigEndian.Uint16(id[:]))
	if f.Conn, f.theirs, err = datagramPair(); err != nil {
		f.socket.Close()
		return nil, err
	}
	f.relays.Go(f.send)
	f.relays.Go(f.receive)
	return f, nil
}

// send passes the worker's messages on, at a bounded rate.
func (f *pingFlow) send() {
	defer f.socket.Close()
	kind := icmp.Type(ipv4.ICMPTypeEcho)
	if f.to.Is6() {
		kind = ipv6.ICMPTypeEchoRequest
	}
	buf := make([]byte, maxDatagram)
	for {
		n, err := f.Read(buf)
		if err != nil || n == 0 {
			return
		}
		if n < 2 {
			continue
		}
		echo := icmp.Message{Type: kind, Body: &icmp.Echo{
			ID: f.id, Seq: int(binary.BigEndian.Uint16(buf)), Data: buf[2:n],
		}}
		packet, err := echo.Marshal(nil)
		if err != nil {
			return
		}
		if _, err := f.socket.WriteTo(packet, f.address()); err == nil {
			f.out.Add(int64(n))
		}
		time.Sleep(pingEvery)
	}
}

func (f *pingFlow) address() net.Addr {
	if f.raw {
		return &net.IPAddr{IP: f.to.AsSlice()}
	}
	return &net.UDPAddr{IP: f.to.AsSlice()}
}

// receive gives the worker the answers of the one host that was granted.
func (f *pingFlow) receive() {
	defer f.Conn.Close()
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := f.socket.ReadFrom(buf)
		if err != nil {
			return
		}
		echo := f.answer(buf[:n], from)
		if echo == nil {
			continue
		}
		message := append(binary.BigEndian.AppendUint16(nil, uint16(echo.Seq)), echo.Data...) //nolint:gosec // 16 bits on the wire
		if _, err := f.Write(message); err == nil {
			f.in.Add(int64(len(message)))
		}
	}
}

// answer is nil for what is not an answer to this ping: a raw socket sees all.
func (f *pingFlow) answer(packet []byte, from net.Addr) *icmp.Echo {
	protocol, kind := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if f.to.Is6() {
		protocol, kind = 58, ipv6.ICMPTypeEchoReply
	}
	message, err := icmp.ParseMessage(protocol, packet)
	if err != nil || message.Type != kind || addressOf(from) != f.to {
		return nil
	}
	echo, ok := message.Body.(*icmp.Echo)
	if !ok || f.raw && echo.ID != f.id { // the kernel chose the id of a ping socket
		return nil
	}
	return echo
}

func addressOf(from net.Addr) netip.Addr {
	var ip net.IP
	switch from := from.(type) {
	case *net.UDPAddr:
		ip = from.IP
	case *net.IPAddr:
		ip = from.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// File duplicates the worker's end.
func (f *pingFlow) File() (*os.File, error) {
	fd, err := unix.FcntlInt(f.theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "ping-peer"), nil
}

func (f *pingFlow) cut() error { return f.socket.Close() }

func (f *pingFlow) dialled() string { return f.to.String() }

func (f *pingFlow) bytes() (in, out int64) { return f.in.Load(), f.out.Load() }

func (f *pingFlow) Close() error {
	f.socket.Close()
	f.Conn.Close()
	f.theirs.Close()
	f.relays.Wait()
	return nil
}
