package sandbox

// The wire between an app and its router. Every host sets the app's network
// card up with exactly these values, and the router drops what does not carry
// them. The card has no other address, no router discovery is needed (accept_ra
// off, no duplicate address detection), and the only routes are the two
// on-link prefixes and the two defaults through the gateways.
const (
	LinkDevice = "eth0"
	// LinkMTU is for a tap that the router reads itself; QEMU and vz cards,
	// which cannot carry more, get LinkMTUEthernet.
	LinkMTU         = 65520
	LinkMTUEthernet = 1500

	AppMAC     = "02:c0:de:00:00:15"
	GatewayMAC = "02:c0:de:00:00:02"

	AppPrefix4 = "10.0.2.15/24"
	AppPrefix6 = "fd00:c0de::15/64"
	Gateway4   = "10.0.2.2" // also the resolver
	Gateway6   = "fd00:c0de::2"

	// Names are answered with addresses of these prefixes, one per name.
	SyntheticPrefix4 = "198.18.0.0/15"
	SyntheticPrefix6 = "fd00:c0de:0:53::/64"
)

// Ports the gateway answers on; every other port of it is reset.
const (
	DNSPort     = 53
	DataAPIPort = 9999
)

// Names of the app's own wire, below ServiceDomain. The router's DNS knows them
// and the app's own host name, alone and below the domain; every other name
// below it does not exist. HostName is the user's own computer: it stands for a
// loopback address, and a flow to it is asked about as one.
const (
	ServiceDomain = "consentry.internal"
	GatewayName   = "gateway." + ServiceDomain
	DataAPIName   = "api." + ServiceDomain
	HostName      = "host." + ServiceDomain
)

// NetworkPing is the network of a Flow that carries ICMP echo messages, as
// package router describes them. It has no ports; PingPort stands in their
// place, so that a target is written like any other: icmp/host:7.
const (
	NetworkPing = "icmp"
	PingPort    = 7
)
