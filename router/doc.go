// Package router is the network of one app: a virtual NAT router in user
// space. Ethernet frames of the app come in on a Link, and what leaves is a
// flow that the Broker connected after a verdict.
//
// What it promises:
//
//   - No packet of the app leaves this package. TCP and UDP end here; the bytes
//     go on over connections that the Broker made, ICMP is answered or dropped.
//   - A SYN is not answered before the Broker has answered. A denied flow, and
//     one that the far end refuses, is reset (ECONNREFUSED); a held, busy or
//     unreachable one gets ICMP host unreachable (EHOSTUNREACH), so that an app
//     can tell "no" from "not now"; one that the far end does not answer gets
//     nothing, until the app's own patience ends.
//     The first datagrams of a UDP flow wait the same way; a denied one gets
//     ICMP port unreachable, a held one ICMP host unreachable (of which Linux
//     tells a UDP socket only with IP_RECVERR: to others it looks like loss).
//   - Names are answered in process with synthetic addresses (an A and an AAAA
//     of the same name lead to the same question). Nothing is asked upstream.
//   - Everything the app can make this package hold is bounded by Limits; what
//     is above is refused or dropped, and counted by reason.
//   - The app speaks only as itself: frames with another source MAC or address
//     are dropped.
//   - A flow to a name carries that name where its protocol has one: guard.go
//     has the table. CONNECT to a proxy is refused.
//   - An idle flow holds no goroutine and no buffer; ten thousand fit into 100 MB.
//   - DHCP gets the one lease there is, and router discovery the one address that a
//     card makes of itself; nobody else on the wire is a server or a router.
//   - Ping is held like a flow, and is a right of its own (icmp/host:7).
//   - IPv4 and IPv6 get the same answers.
//
// What it does not: it has no policy, resolves no name and opens no socket.
// UDP port 443 (QUIC) is refused with ICMP so that clients fall back to TCP,
// unless a rule allows it already; then the name inside is not looked at.
//
// Files: frame.go judges frames (arp and ndp in neighbour.go, solicit.go and dhcp.go), intake.go and endpoint.go are the two sides of
// gVisor's view of the link, names.go and dns.go make up addresses, tcp.go holds
// SYNs, splice.go moves bytes, association.go datagrams, farend.go and lot_linux.go
// let both wait, guard.go chooses who checks them: sni.go for TLS,
// httpguard.go and httphead.go for HTTP; udp.go, ping.go and inbound.go are what
// they say.
package router
