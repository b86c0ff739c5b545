package attack

// Results of the network's probes that are no errno.
const (
	Held     = "held"     // no answer yet
	Silence  = "silence"  // nothing came back
	Answered = "answered" // the far end was reached
	Cut      = "cut"      // the connection ended without a word of the far end
	MadeUp   = "made up"  // a synthetic address
	Same     = "same"     // the address of the granted name
	NoName   = "no such name"
	Refused  = "refused" // by the resolver
	NotDone  = "not implemented"
)

// Words of Probe.Grants, for which the caller puts what its world has: a name
// with an IPv4 address, and that address.
const (
	GrantedHost = "HOST"
	GrantedAddr = "ADDR"
)

// NetworkProbes are the attacks on the network. They want a Host whose network
// is answered by somebody, and a world beyond it; their targets are
//
//	host=NAME      a name that leads to addr4, and may be granted
//	other=NAME     another one at the same address, never granted
//	addr4=, addr6= addresses of the world
//	machine=ADDR   an address of the user's computer
//	port=N         where a server of it listens, on all its addresses
//
// What they ask for is not granted, and denied at once, but for the first,
// which is held and never answered.
var NetworkProbes = []Probe{
	{Row: 31, Name: "held", Want: map[string][]string{
		"name, at first": want(Held), "name6, at first": want(Held), "address, at first": want(Held), "address6, at first": want(Held),
		"name": want("EHOSTUNREACH"), "name6": want("EHOSTUNREACH"), "address": want("EHOSTUNREACH"), "address6": want("EHOSTUNREACH"),
	}},
	{Row: 31, Name: "no-grant", Want: all(want("ECONNREFUSED"),
		"tcp name", "tcp name6", "tcp address", "tcp address6", "udp name", "udp name6", "udp address", "udp address6")},
	{Row: 32, Name: "exfiltration", Want: map[string][]string{
		"long labels": want(MadeUp), "over tcp": want(MadeUp), "by the other family": want(MadeUp), "2,000 names": want(MadeUp),
		"TXT": want(Refused), "MX": want(Refused), "SRV": want(Refused), "TXT of a service": want(Refused), "TXT over tcp": want(Refused),
		"NULL": want(None), "ANY": want(None), "HTTPS": want(None), "SVCB": want(None), "CNAME": want(None), "NS": want(None), "SOA": want(None), "AXFR": want(None),
		"PTR of a public address": want(NoName), "PTR with data in it": want(NoName),
		"update": want(NotDone), "an answer": want(Silence), "chaos class": want(Refused),
	}},
	{Row: 34, Name: "other-ways", Grants: []string{"tcp/" + GrantedHost + ":443"}, Want: map[string][]string{
		"another resolver": want(MadeUp), "another resolver, tcp": want(MadeUp), "another resolver, TXT": want(Refused),
		"DNS over TLS": want("ECONNREFUSED"), "DNS over HTTPS": want("ECONNREFUSED"), "DNS over QUIC": want("ECONNREFUSED"),
		"QUIC to the granted name": want("ECONNREFUSED"), "QUIC to an address": want("ECONNREFUSED"), "QUIC to an address6": want("ECONNREFUSED"),
		"mDNS": want(Silence, "ENETUNREACH"), "LLMNR": want(Silence, "ENETUNREACH"), "SSDP": want(Silence, "ENETUNREACH"), "mDNS6": want(Silence, "ENETUNREACH"),
		"broadcast": want(Silence, "ENETUNREACH"),
	}},
	{Row: 35, Name: "other-names", Grants: []string{"tcp/" + GrantedHost + ":443", "tcp/" + GrantedHost + ":80", "tcp/" + GrantedHost + ":3128"}, Want: with(
		all(want(Cut), "another SNI", "another SNI, split", "no SNI", "no hello", "another SNI at a port of its own",
			"another Host", "no Host", "two Hosts", "another Host in a URL", "another Host in the second request", "another Host behind it",
			"another Host, byte by byte", "CONNECT", "CONNECT to itself", "CONNECT at port 80"),
		// Without a name there is no other name: it goes to the granted host.
		all(want(Answered), "no Host, of HTTP/1.0", "the granted SNI", "the granted SNI, split", "the granted Host", "the granted Host, in capitals"))},
	{Row: 36, Name: "gateway-ports", Want: map[string][]string{
		"tcp ports": want("ECONNREFUSED"), "tcp6 ports": want("ECONNREFUSED"), "udp ports": want("ECONNREFUSED"), "udp6 ports": want("ECONNREFUSED"),
		"the host's server by the gateway": want("ECONNREFUSED"), "by loopback": want("ECONNREFUSED"), "by loopback6": want("ECONNREFUSED"),
		"by its address": want("ECONNREFUSED"), "by its name": want("ECONNREFUSED"), "by localhost": want("ECONNREFUSED"),
		"a neighbour": want("EHOSTUNREACH", "ECONNREFUSED"), "a neighbour6": want("EHOSTUNREACH", "ECONNREFUSED"),
		"resolver": want(Done), "data API": want(Done),
	}},
	{Row: 37, Name: "frames", Want: map[string][]string{
		"packet socket": want("EAFNOSUPPORT", "EPERM"), "packet socket of datagrams": want("EAFNOSUPPORT", "EPERM"),
		"raw ip": want("EPERM"), "raw icmp6": want("EPERM"), "another card": want("ENOENT"), "promiscuous card": want("EPERM"),
		"fragments": want("ECONNREFUSED"), "a datagram of 0 bytes": want("ECONNREFUSED"), "an option in each packet": want("EPERM", "ECONNREFUSED"),
		"a routing header in each packet": want("EPERM", "EINVAL", "ENOPROTOOPT", Silence), "no checksum": want("ECONNREFUSED"), "a SYN with data": want("ECONNREFUSED"),
		"udp-lite": want("EPROTONOSUPPORT", Silence), "multipath tcp": want("EPROTONOSUPPORT", "ENOPROTOOPT", "ECONNREFUSED"), "sctp": want("EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "ETIMEDOUT"), "ping socket": want("EPERM", "EACCES"),
	}},
	{Row: 38, Name: "spoofing", Want: map[string][]string{
		"hardware address": want("EPERM"), "second address": want("EPERM"), "mtu": want("EPERM"), "static neighbour": want("EPERM"),
		"neighbour by netlink": want("EPERM"), "route by netlink": want("EPERM"), "advertisement": want("EPERM"),
		"bind to another address": want("EADDRNOTAVAIL"), "another source": want("EINVAL", "ENETUNREACH", Silence), "another source6": want("EINVAL", "ENETUNREACH", Silence),
		"transparent": want("EPERM"), "asks for a lease": want(Silence), "offers a lease": want(Silence),
	}},
	{Row: 40, Name: "ipv6-forms", Want: with(
		all(want("ECONNREFUSED"), "mapped", "nat64", "nat64 of loopback", "nat64 of metadata", "local nat64", "6to4", "6to4 of metadata", "metadata6", "unique local", "site local"),
		all(want("ECONNREFUSED", "ENETUNREACH", Silence), "compatible", "compatible loopback", "mapped loopback", "unspecified", "teredo"),
		all(want("ENETUNREACH", "EHOSTUNREACH", "EINVAL", Silence), "link-local", "multicast"))},
	{Row: 40, Name: "ipv6-granted", Grants: []string{"tcp/" + GrantedAddr + ":80"}, Want: map[string][]string{
		"plain": want(Done), "mapped": want(Done),
		"nat64": want("EHOSTUNREACH"), // allowed as the address it stands for; this world translates nothing
		"6to4":  want("ECONNREFUSED"), "another port": want("ECONNREFUSED"), "another port, mapped": want("ECONNREFUSED"),
	}},
	{Row: 41, Name: "name-forms", Grants: []string{"tcp/" + GrantedHost + ":80"}, Want: with(
		all(want(Same), "capitals", "mixed", "full width"),
		all(want(MadeUp), "punycode", "its text", "a label more"),
		all(want(NoName), "NUL", "NUL at the end", "space", "hexadecimal", "decimal", "short", "octal", "plain address", "address with a dot",
			"underscore", "bad punycode", "hyphen", "percent", "at", "slash", "backslash", "root", "arpa"),
		map[string][]string{"calls it in capitals": want(Answered)})},
}

// with joins tables of results.
func with(tables ...map[string][]string) map[string][]string {
	all := map[string][]string{}
	for _, table := range tables {
		for try, results := range table {
			all[try] = results
		}
	}
	return all
}
