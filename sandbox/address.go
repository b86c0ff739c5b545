package sandbox

import "net/netip"

// AddressKind is what kind of place an address is. Dialling anything but
// AddressPublic needs more than a grant for a name; AddressMetadata,
// AddressInvalid and AddressSynthetic are never dialled.
type AddressKind int

// The classes. The zero value is not to be dialled.
const (
	AddressInvalid   AddressKind = iota // no address, unspecified, broadcast, reserved, documentation
	AddressMetadata                     // a cloud's instance metadata
	AddressSynthetic                    // made up by the router's DNS, or of its own wire
	AddressMulticast
	AddressLoopback
	AddressLinkLocal
	AddressPrivate // RFC 1918, unique local, site local
	AddressCGNAT   // RFC 6598
	AddressPublic
)

func (k AddressKind) String() string {
	names := [...]string{"invalid", "metadata", "synthetic", "multicast", "loopback", "link-local", "private", "shared (carrier NAT)", "public"}
	if k < 0 || int(k) >= len(names) {
		return names[AddressInvalid]
	}
	return names[k]
}

type classRule struct {
	prefix netip.Prefix
	class  AddressKind
}

// classRules: the first that holds the address counts, so narrow ones stand
// above wide ones. Sources: IANA special-purpose address registries; vendors'
// documentation for the metadata addresses.
var classRules = []classRule{
	{netip.MustParsePrefix("169.254.169.254/32"), AddressMetadata}, // AWS, Azure, Google and most others
	{netip.MustParsePrefix("169.254.170.2/32"), AddressMetadata},   // AWS ECS task credentials
	{netip.MustParsePrefix("169.254.170.23/32"), AddressMetadata},  // AWS EKS pod identity
	{netip.MustParsePrefix("169.254.169.123/32"), AddressMetadata},
	{netip.MustParsePrefix("169.254.169.253/32"), AddressMetadata},
	{netip.MustParsePrefix("100.100.100.200/32"), AddressMetadata}, // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), AddressMetadata},   // Azure wire server
	{netip.MustParsePrefix("192.0.0.192/32"), AddressMetadata},     // Oracle
	{netip.MustParsePrefix("fd00:ec2::254/128"), AddressMetadata},  // AWS
	{netip.MustParsePrefix("fd00:ec2::23/128"), AddressMetadata},   // AWS EKS
	{netip.MustParsePrefix("fd20:ce::254/128"), AddressMetadata},   // Google
	{netip.MustParsePrefix("fd00:42::42/128"), AddressMetadata},    // Scaleway

	{netip.MustParsePrefix(SyntheticPrefix4), AddressSynthetic},
	{netip.MustParsePrefix("fd00:c0de::/48"), AddressSynthetic},

	{netip.MustParsePrefix("0.0.0.0/8"), AddressInvalid},
	{netip.MustParsePrefix("10.0.0.0/8"), AddressPrivate},
	{netip.MustParsePrefix("100.64.0.0/10"), AddressCGNAT},
	{netip.MustParsePrefix("127.0.0.0/8"), AddressLoopback},
	{netip.MustParsePrefix("169.254.0.0/16"), AddressLinkLocal},
	{netip.MustParsePrefix("172.16.0.0/12"), AddressPrivate},
	{netip.MustParsePrefix("192.0.0.0/24"), AddressInvalid},
	{netip.MustParsePrefix("192.0.2.0/24"), AddressInvalid},
	{netip.MustParsePrefix("192.88.99.0/24"), AddressInvalid},
	{netip.MustParsePrefix("192.168.0.0/16"), AddressPrivate},
	{netip.MustParsePrefix("198.51.100.0/24"), AddressInvalid},
	{netip.MustParsePrefix("203.0.113.0/24"), AddressInvalid},
	{netip.MustParsePrefix("224.0.0.0/4"), AddressMulticast},
	{netip.MustParsePrefix("240.0.0.0/4"), AddressInvalid},

	{netip.MustParsePrefix("::1/128"), AddressLoopback},
	{netip.MustParsePrefix("ff00::/8"), AddressMulticast},
	{netip.MustParsePrefix("fe80::/10"), AddressLinkLocal},
	{netip.MustParsePrefix("fec0::/10"), AddressPrivate},
	{netip.MustParsePrefix("fc00::/7"), AddressPrivate},
	{netip.MustParsePrefix("100::/64"), AddressInvalid},
	{netip.MustParsePrefix("2001:db8::/32"), AddressInvalid},
	{netip.MustParsePrefix("3fff::/20"), AddressInvalid},
	{netip.MustParsePrefix("2001::/23"), AddressInvalid}, // Teredo and other protocol assignments
	{netip.MustParsePrefix("2000::/3"), AddressPublic},   // the only global unicast space in use
	{netip.MustParsePrefix("::/0"), AddressInvalid},
	{netip.MustParsePrefix("0.0.0.0/0"), AddressPublic},
}

// embedding is a prefix of IPv6 addresses that end up at an IPv4 address.
type embedding struct {
	prefix netip.Prefix
	at     int // first byte of the IPv4 address
}

var embeddings = []embedding{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, without :: and ::1
}

// localNAT64 is the space in which a network chooses the prefix of its own
// translators (RFC 8215). The length of that prefix, and so the place of the
// IPv4 address, is not known here.
var localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")

// nat64Places are where the IPv4 address can be in localNAT64, byte by byte
// (RFC 6052, section 2.2, for prefixes of 48, 56, 64 and 96 bits).
var nat64Places = [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}}

// localNAT64Class is the worst that one of the IPv4 addresses in it would be:
// metadata in any place, else what the commonest place (96 bits) says, which is
// at best a private one, as the translator is a machine of this network.
func localNAT64Class(addr netip.Addr) AddressKind {
	raw := addr.As16()
	var class AddressKind
	for _, at := range nat64Places {
		class = AddressClass(netip.AddrFrom4([4]byte{raw[at[0]], raw[at[1]], raw[at[2]], raw[at[3]]}))
		if class == AddressMetadata {
			return class
		}
	}
	return min(class, AddressPrivate)
}

// AddressClass says what kind of place addr is. An address that a translator turns
// into an IPv4 address is judged as that IPv4 address; it is public only if
// that is.
func AddressClass(addr netip.Addr) AddressKind {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.Zone() != "" || addr.IsUnspecified() {
		return AddressInvalid
	}
	if localNAT64.Contains(addr) {
		return localNAT64Class(addr)
	}
	if inner, ok := embeddedIPv4(addr); ok {
		return AddressClass(inner)
	}
	for _, rule := range classRules {
		if rule.prefix.Contains(addr) {
			return rule.class
		}
	}
	return AddressInvalid
}

func embeddedIPv4(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr == netip.IPv6Loopback() {
		return netip.Addr{}, false
	}
	raw := addr.As16()
	for _, e := range embeddings {
		if e.prefix.Contains(addr) {
			return netip.AddrFrom4([4]byte(raw[e.at : e.at+4])), true
		}
	}
	return netip.Addr{}, false
}
