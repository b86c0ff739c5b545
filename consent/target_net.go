package consent

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// protocol of a flow; the zero value stands for all, in rules only.
type protocol uint8

const (
	anyProtocol protocol = iota
	tcp
	udp
	icmp // ping; its port is always 7
)

var protocolNames = [...]string{anyProtocol: "any", tcp: "tcp", udp: "udp", icmp: "icmp"}

func (p protocol) String() string { return protocolNames[p] }

// host is a name or an address. In a rule the name may be ".example.com"
// (everything below) or "*" (every name, but no address), and the prefix may
// be shorter than the address.
type host struct {
	name string
	net  netip.Prefix
}

func (h host) String() string {
	switch {
	case !h.net.IsValid() && strings.HasPrefix(h.name, "."):
		return "*" + h.name
	case !h.net.IsValid():
		return h.name
	case h.net.IsSingleIP() && h.net.Addr().Is6():
		return "[" + h.net.Addr().String() + "]"
	case h.net.IsSingleIP():
		return h.net.Addr().String()
	case h.net.Addr().Is6():
		return "[" + h.net.String() + "]"
	}
	return h.net.String()
}

const (
	maxName  = 253
	maxLabel = 63
)

// canonicalNet: "tcp/host:port" or "udp/host:port"; without a protocol, TCP.
func canonicalNet(text string) (string, error) {
	w, err := takeNet(text)
	if err == nil && w.host.name != "" && hasProtocol(text) {
		return text, nil // as it stands; nothing to build
	}
	w, err = takeNet(lowerHost(text))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/%s:%d", w.proto, w.host, w.port), nil
}

// lowerHost takes off what means the same: upper case and the trailing dot; not
// that of "*.", which must not become "*".
func lowerHost(text string) string {
	text = lowerASCII(text)
	if i := strings.LastIndexByte(text, ':'); i > 1 && text[i-1] == '.' && text[i-2] != '*' {
		text = text[:i-1] + text[i:]
	}
	return text
}

// lowerASCII leaves other letters alone: a Kelvin sign must not become a k.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

func hasProtocol(text string) bool {
	return strings.HasPrefix(text, "tcp/") || strings.HasPrefix(text, "udp/") || strings.HasPrefix(text, "icmp/")
}

// takeNet takes a canonical target apart; addresses may be in any spelling,
// they are compared as addresses.
func takeNet(text string) (want, error) {
	proto, hostText, portText, err := splitNet(text)
	if err != nil {
		return want{}, err
	}
	if proto == anyProtocol {
		return want{}, errors.New("a request is for tcp, udp or icmp")
	}
	port, err := parsePort(portText)
	if err != nil {
		return want{}, err
	}
	h, err := parseHost(hostText)
	if err != nil {
		return want{}, err
	}
	return want{host: h, port: port, proto: proto}, nil
}

func splitNet(text string) (proto protocol, host, port string, err error) {
	proto = tcp
	for p, name := range protocolNames {
		if rest, ok := strings.CutPrefix(text, name); ok && strings.HasPrefix(rest, "/") {
			proto, text = protocol(p), rest[1:]
			break
		}
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 || i < strings.LastIndexByte(text, ']') {
		return 0, "", "", errors.New("has no port")
	}
	return proto, text[:i], text[i+1:], nil
}

func parsePort(text string) (uint16, error) {
	if text == "" || text[0] < '1' || text[0] > '9' {
		return 0, errors.New("port is not a number from 1 to 65535")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("port is not a number from 1 to 65535")
	}
	return uint16(n), nil
}

func parseHost(text string) (host, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok || strings.IndexByte(inner, ':') < 0 {
			return host{}, errors.New("brackets are for an IPv6 address")
		}
		return parseAddr(inner)
	}
	if strings.IndexByte(text, ':') >= 0 {
		return host{}, errors.New("an IPv6 address needs brackets")
	}
	if looksNumeric(text) {
		return parseAddr(text)
	}
	if err := checkName(text); err != nil {
		return host{}, err
	}
	return host{name: text}, nil
}

// nat64 is the well-known prefix of RFC 6052: an IPv4 address in disguise.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func parseAddr(text string) (host, error) {
	if strings.IndexByte(text, '%') >= 0 {
		return host{}, errors.New("an address with a zone cannot be granted")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return host{}, errors.New("is neither a host name nor an address")
	}
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	return host{net: netip.PrefixFrom(addr, addr.BitLen())}, nil
}

// looksNumeric says whether resolvers would take the text for an IPv4 address
// ("127.1", "0x7f.1", "2130706433"): its last label is a number.
func looksNumeric(text string) bool {
	last := text[strings.LastIndexByte(text, '.')+1:]
	if last == "" {
		return false
	}
	if strings.HasPrefix(last, "0x") {
		return true
	}
	for i := range len(last) {
		if last[i] < '0' || last[i] > '9' {
			return false
		}
	}
	return true
}

// checkName wants lower-case labels of letters, digits, '-' and '_' (service
// names have it), without a trailing dot.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return errors.New("host name is empty or too long")
	}
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '.' {
			if c := name[i]; !isLowerAlnum(c) && c != '-' && c != '_' {
				return errors.New("host name has a character that names do not have (international names are written xn--…)")
			}
			continue
		}
		if i == start || i-start > maxLabel {
			return errors.New("host name has a label that is empty or too long")
		}
		if name[start] == '-' || name[i-1] == '-' {
			return errors.New("host name has a label that starts or ends with '-'")
		}
		start = i + 1
	}
	return nil
}

// scopeNet: as canonicalNet, and "any/", "*.host", "*", a CIDR prefix, port
// "*" or "a-b".
func scopeNet(text string) (scope, string, error) {
	proto, hostText, portText, err := splitNet(lowerHost(text))
	if err != nil {
		return scope{}, "", err
	}
	lo, hi, err := parsePorts(portText)
	if err != nil {
		return scope{}, "", err
	}
	h, err := parseHosts(hostText)
	if err != nil {
		return scope{}, "", err
	}
	s := scope{hosts: []host{h}, lo: lo, hi: hi, proto: proto}
	return s, fmt.Sprintf("%s/%s:%s", proto, h, portsText(lo, hi)), nil
}

func parseHosts(text string) (host, error) {
	if text == "*" {
		return host{name: "*"}, nil
	}
	if below, ok := strings.CutPrefix(text, "*."); ok {
		if looksNumeric(below) {
			return host{}, errors.New("addresses have no names below them; use a prefix like 10.0.0.0/8")
		}
		if err := checkName(below); err != nil {
			return host{}, err
		}
		return host{name: text[1:]}, nil
	}
	if strings.IndexByte(text, '/') >= 0 {
		return parsePrefix(text)
	}
	return parseHost(text)
}

func parsePrefix(text string) (host, error) {
	inner, bracket := strings.CutPrefix(text, "[")
	if bracket {
		inner = strings.TrimSuffix(inner, "]")
	}
	p, err := netip.ParsePrefix(inner)
	if err != nil || p.Addr().Is4In6() || p.Addr().Is6() != bracket {
		return host{}, errors.New("is not an address prefix (10.0.0.0/8, [fd00::/8])")
	}
	if nat64.Contains(p.Addr()) {
		return host{}, errors.New("write an IPv4 prefix instead of its NAT64 form")
	}
	return host{net: p.Masked()}, nil
}

// parsePorts: "443", "8000-8099", "*".
func parsePorts(text string) (lo, hi uint16, err error) {
	if text == "*" {
		return 1, 65535, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if lo, err = parsePort(first); err != nil || !isRange {
		return lo, lo, err
	}
	if hi, err = parsePort(last); err != nil {
		return 0, 0, err
	}
	if hi < lo {
		return 0, 0, errors.New("port range ends before it starts")
	}
	return lo, hi, nil
}

func portsText(lo, hi uint16) string {
	switch {
	case lo == hi:
		return strconv.Itoa(int(lo))
	case lo == 1 && hi == 65535:
		return "*"
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

func canonicalListen(text string) (string, error) {
	_, err := parsePort(text)
	return text, err
}

func takeListen(text string) (want, error) {
	port, err := parsePort(text)
	return want{port: port}, err
}

func scopeListen(text string) (scope, string, error) {
	lo, hi, err := parsePorts(text)
	if err != nil {
		return scope{}, "", err
	}
	return scope{keys: []string{""}, lo: lo, hi: hi}, portsText(lo, hi), nil
}

// NetTarget is the target of a flow to host, a name or an address without
// brackets. An error means that no such flow can be asked for.
func NetTarget(network, hostText string, port uint16) (string, error) {
	if strings.IndexByte(hostText, ':') >= 0 {
		hostText = "[" + hostText + "]"
	}
	return Canonical(NetConnect, fmt.Sprintf("%s/%s:%d", network, hostText, port))
}
