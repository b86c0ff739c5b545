package router

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/consentry/consentry/sandbox"
)

// Sizes of DNS messages in bytes (RFC 1035, RFC 6891).
const (
	minDNS      = 12
	maxDNSQuery = 4096
)

// answer is the whole resolver: it returns the message to send back, or nil
// for what is no question. Types other than A, AAAA and PTR have no records
// here: dnslookup.go takes TXT, MX and SRV, which need asking upstream, and
// HTTPS/SVCB would bring encrypted client hellos.
func (t *names) answer(query []byte) ([]byte, reason) {
	if len(query) < minDNS || len(query) > maxDNSQuery {
		return nil, dropDNS
	}
	var parser dnsmessage.Parser
	head, err := parser.Start(query)
	if err != nil || head.Response {
		return nil, dropDNS
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{
		ID: head.ID, Response: true, OpCode: head.OpCode,
		RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
	}}
	questions, err := parser.AllQuestions()
	why := dropNone
	switch {
	case err != nil || len(questions) != 1:
		reply.RCode = dnsmessage.RCodeFormatError
	case head.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
	default:
		reply.Questions = questions
		why = t.fill(&reply, questions[0])
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil, dropDNS
	}
	return packed, why
}

func (t *names) fill(reply *dnsmessage.Message, q dnsmessage.Question) reason {
	if q.Class != dnsmessage.ClassINET {
		reply.RCode = dnsmessage.RCodeRefused
		return dropNone
	}
	switch q.Type {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		return t.fillAddress(reply, q)
	case dnsmessage.TypePTR:
		t.fillPointer(reply, q)
	}
	return dropNone
}

func (t *names) fillAddress(reply *dnsmessage.Message, q dnsmessage.Question) reason {
	host, err := sandbox.CanonicalHost(q.Name.String())
	if _, isAddress := netip.ParseAddr(host); err != nil || isAddress == nil || underARPA(host) {
		reply.RCode = dnsmessage.RCodeNameError
		return dropNone
	}
	addr4, addr6, ok := t.local(host)
	if !ok && t.services.claims(host) {
		reply.RCode = dnsmessage.RCodeNameError
		return dropNone
	}
	if !ok {
		addr4, addr6, ok = t.resolve(host)
	}
	if !ok {
		reply.RCode = dnsmessage.RCodeServerFailure
		return refuseNames
	}
	var body dnsmessage.ResourceBody = &dnsmessage.AResource{A: addr4.As4()}
	if q.Type == dnsmessage.TypeAAAA {
		body = &dnsmessage.AAAAResource{AAAA: addr6.As16()}
	}
	reply.Answers = []dnsmessage.Resource{{Header: answerHead(q), Body: body}}
	return dropNone
}

// local finds the hosts that are no hosts outside.
func (t *names) local(host string) (addr4, addr6 netip.Addr, ok bool) {
	if addr4, addr6, ok = localhost(host); ok {
		return addr4, addr6, ok
	}
	return t.services.lookup(host)
}

const localName = "localhost"

// localhost names stay inside the app (RFC 6761).
func localhost(host string) (addr4, addr6 netip.Addr, ok bool) {
	if host != localName && !strings.HasSuffix(host, "."+localName) {
		return netip.Addr{}, netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback(), true
}

func underARPA(host string) bool { return host == "arpa" || strings.HasSuffix(host, ".arpa") }

func answerHead(q dnsmessage.Question) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: uint32(answerTTL.Seconds())}
}

func (t *names) fillPointer(reply *dnsmessage.Message, q dnsmessage.Question) {
	reply.RCode = dnsmessage.RCodeNameError
	addr, ok := pointerAddr(q.Name.String())
	if !ok {
		return
	}
	host, ok := t.services.reverse(addr)
	if !ok {
		host, ok = t.reverse(addr)
	}
	if !ok {
		return
	}
	target, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return
	}
	reply.RCode = dnsmessage.RCodeSuccess
	reply.Answers = []dnsmessage.Resource{{Header: answerHead(q), Body: &dnsmessage.PTRResource{PTR: target}}}
}

// pointerAddr reads "1.0.18.198.in-addr.arpa." and its IPv6 kin.
func pointerAddr(name string) (netip.Addr, bool) {
	name = strings.ToLower(name)
	if labels, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(labels, ".")
		reverse(parts)
		addr, err := netip.ParseAddr(strings.Join(parts, "."))
		return addr, err == nil && addr.Is4()
	}
	if nibbles, ok := strings.CutSuffix(name, ".ip6.arpa."); ok {
		return nibbleAddr(strings.Split(nibbles, "."))
	}
	return netip.Addr{}, false
}

func nibbleAddr(parts []string) (netip.Addr, bool) {
	if len(parts) != 32 {
		return netip.Addr{}, false
	}
	reverse(parts)
	var text strings.Builder
	for i, nibble := range parts {
		if len(nibble) != 1 {
			return netip.Addr{}, false
		}
		if i > 0 && i%4 == 0 {
			text.WriteByte(':')
		}
		text.WriteString(nibble)
	}
	addr, err := netip.ParseAddr(text.String())
	return addr, err == nil
}

func reverse(parts []string) {
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
}
