package sandbox

import (
	"net/netip"
	"testing"
)

func TestAddressClass(t *testing.T) {
	for text, want := range map[string]AddressKind{
		"1.1.1.1":                    AddressPublic,
		"2606:4700::1111":            AddressPublic,
		"::ffff:1.1.1.1":             AddressPublic,
		"0.0.0.0":                    AddressInvalid,
		"0.1.2.3":                    AddressInvalid,
		"255.255.255.255":            AddressInvalid,
		"240.0.0.1":                  AddressInvalid,
		"192.0.2.1":                  AddressInvalid,
		"::":                         AddressInvalid,
		"2001:db8::1":                AddressInvalid,
		"2001:0:1::1":                AddressInvalid,
		"4000::1":                    AddressInvalid,
		"fe80::1%eth0":               AddressInvalid,
		"169.254.169.254":            AddressMetadata,
		"::ffff:169.254.169.254":     AddressMetadata,
		"64:ff9b::a9fe:a9fe":         AddressMetadata,
		"2002:a9fe:a9fe::1":          AddressMetadata,
		"fd00:ec2::254":              AddressMetadata,
		"100.100.100.200":            AddressMetadata,
		"168.63.129.16":              AddressMetadata,
		"198.18.0.1":                 AddressSynthetic,
		"198.19.255.255":             AddressSynthetic,
		"fd00:c0de::2":               AddressSynthetic,
		"fd00:c0de:0:53::1":          AddressSynthetic,
		"224.0.0.1":                  AddressMulticast,
		"ff02::1":                    AddressMulticast,
		"127.0.0.1":                  AddressLoopback,
		"127.9.9.9":                  AddressLoopback,
		"::1":                        AddressLoopback,
		"::127.0.0.1":                AddressLoopback,
		"64:ff9b::7f00:1":            AddressLoopback,
		"64:ff9b:1::7f00:1":          AddressLoopback,
		"64:ff9b:1::a9fe:a9fe":       AddressMetadata, // with a prefix of 96 bits,
		"64:ff9b:1:a9fe:a9:fe00::":   AddressMetadata, // of 48,
		"64:ff9b:1:a9:fe:a9fe::":     AddressMetadata, // of 56,
		"64:ff9b:1:0:a9:fea9:fe00:0": AddressMetadata, // of 64
		"64:ff9b:1::101:101":         AddressPrivate,
		"64:ff9b:1::e000:1":          AddressMulticast,
		"64:ff9b:1::c612:1":          AddressSynthetic,
		"64:ff9b::e000:1":            AddressMulticast,
		"64:ff9b::6440:1":            AddressCGNAT,
		"64:ff9b::a9fe:101":          AddressLinkLocal,
		"2002:c0a8:101::1":           AddressPrivate,
		"2002:101:101::1":            AddressPublic,
		"::ffff:10.0.0.1":            AddressPrivate,
		"::ffff:224.0.0.1":           AddressMulticast,
		"::169.254.169.254":          AddressMetadata,
		"2001:0:a9fe:a9fe::":         AddressInvalid, // Teredo, whatever is in it
		"169.254.170.2":              AddressMetadata,
		"100.127.255.255":            AddressCGNAT,
		"2002:7f00:1::":              AddressLoopback,
		"169.254.1.1":                AddressLinkLocal,
		"fe80::1":                    AddressLinkLocal,
		"10.0.2.2":                   AddressPrivate,
		"172.31.255.255":             AddressPrivate,
		"192.168.1.1":                AddressPrivate,
		"64:ff9b::c0a8:101":          AddressPrivate,
		"fd12::1":                    AddressPrivate,
		"fec0::1":                    AddressPrivate,
		"100.64.0.1":                 AddressCGNAT,
		"64:ff9b::101:101":           AddressPublic,
		"172.32.0.1":                 AddressPublic,
		"100.128.0.1":                AddressPublic,
	} {
		if got := AddressClass(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	if got := AddressClass(netip.Addr{}); got != AddressInvalid {
		t.Errorf("no address is %v", got)
	}
}
