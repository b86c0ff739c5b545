package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/sandbox"
)

// Types and classes of DNS.
const (
	typeA, typeNS, typeCNAME, typeSOA, typeNULL, typePTR = 1, 2, 5, 6, 10, 12
	typeMX, typeTXT, typeAAAA, typeSRV, typeSVCB         = 15, 16, 28, 33, 64
	typeHTTPS, typeAXFR, typeANY                         = 65, 252, 255
	classIN, classCHAOS                                  = 1, 3
)

var (
	resolver4 = at(sandbox.Gateway4, sandbox.DNSPort)
	resolver6 = at(sandbox.Gateway6, sandbox.DNSPort)
)

// question writes a DNS query by hand, as no library would write some of them.
// Labels are separated by dots; the flags are those of its header.
func question(flags uint16, name string, kind, class uint16) []byte {
	q := []byte{0x13, 0x37}
	q = binary.BigEndian.AppendUint16(q, flags)
	q = append(q, 0, 1, 0, 0, 0, 0, 0, 0)
	if name = strings.TrimSuffix(name, "."); name != "" {
		for label := range strings.SplitSeq(name, ".") {
			q = append(append(q, byte(len(label))), label...)
		}
	}
	q = append(q, 0)
	q = binary.BigEndian.AppendUint16(q, kind)
	return binary.BigEndian.AppendUint16(q, class)
}

func asks(name string, kind uint16) []byte { return question(0x0100, name, kind, classIN) }

// meaning says what a resolver's answer comes to, and the address in it.
func meaning(reply []byte, err error) (string, netip.Addr) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return attack.Silence, netip.Addr{}
	case err != nil:
		return nameOf(err), netip.Addr{}
	case len(reply) < 12 || reply[0] != 0x13 || reply[1] != 0x37:
		return "no answer to this question", netip.Addr{}
	}
	switch reply[3] & 15 {
	case 0:
		return meaningOfData(reply)
	case 3:
		return attack.NoName, netip.Addr{}
	case 4:
		return attack.NotDone, netip.Addr{}
	case 5:
		return attack.Refused, netip.Addr{}
	}
	return "rcode " + string('0'+rune(reply[3]&15)), netip.Addr{}
}

// meaningOfData looks at the last bytes, where the one address of an answer is.
func meaningOfData(reply []byte) (string, netip.Addr) {
	if reply[7] == 0 {
		return attack.None, netip.Addr{}
	}
	for _, size := range []int{4, 16} {
		if len(reply) < size+2 || int(binary.BigEndian.Uint16(reply[len(reply)-size-2:])) != size {
			continue
		}
		addr, _ := netip.AddrFromSlice(reply[len(reply)-size:])
		for _, prefix := range []string{sandbox.SyntheticPrefix4, sandbox.SyntheticPrefix6} {
			if netip.MustParsePrefix(prefix).Contains(addr) {
				return attack.MadeUp, addr
			}
		}
		return "address " + addr.String(), addr
	}
	return "data", netip.Addr{}
}

// resolve asks over UDP.
func resolve(server netip.AddrPort, query []byte) (string, netip.Addr) {
	return meaning(converse(server, query))
}

// resolveTCP asks over TCP.
func resolveTCP(server netip.AddrPort, query []byte) string {
	conn, err := net.DialTimeout("tcp", server.String(), patience)
	if err != nil {
		return nameOf(err)
	}
	defer conn.Close()
	must(conn.SetDeadline(time.Now().Add(patience)))
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nameOf(err)
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nameOf(err)
	}
	reply := make([]byte, binary.BigEndian.Uint16(head))
	_, err = io.ReadFull(conn, reply)
	said, _ := meaning(reply, err)
	return said
}

func (p *probe) resolve(try string, server netip.AddrPort, query []byte) {
	said, _ := resolve(server, query)
	p.tell(try, said)
}

// synthetic is the address that a name has in here.
func (p *probe) synthetic(key string, kind uint16) netip.Addr {
	for range 5 { // the first datagram may find the card not ready
		if said, addr := resolve(resolver4, asks(p.target(key), kind)); said == attack.MadeUp {
			return addr
		}
	}
	os.Stderr.WriteString("probe: " + p.target(key) + " has no address\n")
	os.Exit(1)
	return netip.Addr{}
}
