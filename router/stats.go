package router

import "sync/atomic"

// reason is why a frame or flow was not served.
type reason int

const (
	dropNone reason = iota
	dropShort
	dropLong
	dropEthertype
	dropMAC         // not from the app's card, or not to the gateway's
	dropSpoofed     // another source address
	dropDestination // loopback, link-local, unspecified, the app itself
	dropMulticast   // and broadcast
	dropHeader      // lengths or fields that do not fit
	dropProtocol    // neither TCP, UDP nor ICMP, or behind an extension header
	dropNeighbour   // ARP and NDP for anyone but the gateway, or forged
	dropICMP
	dropDHCP
	dropWrite // the link did not take a frame
	dropDNS   // a question that cannot be answered at all
	refuseHeld
	refuseFlows
	refuseNames
	refuseGateway // a port of the gateway that nobody serves
	refuseUnknown // a synthetic address that stands for no name
	refuseQUIC
	refuseDenied
	refuseLater // held or busy
	refuseUnreachable
	refuseRefused // by the far end
	refuseTimeout // the far end does not answer
	cutTLS        // the TLS hello did not carry the dialled name
	cutHTTP       // no HTTP, or not to be read in one way only
	cutHost       // an HTTP request for another host
	cutConnect    // CONNECT: a proxy would lead anywhere
	reasons
)

var reasonNames = [reasons]string{
	"", "short", "long", "ethertype", "mac", "spoofed", "destination", "multicast", "header", "protocol",
	"neighbour", "icmp", "dhcp", "write", "dns", "held-limit", "flow-limit", "name-limit", "gateway-port",
	"unknown-name", "quic", "denied", "later", "unreachable", "refused", "timeout", "tls-name", "http", "http-host", "http-connect",
}

// counters are written from many goroutines.
type counters struct {
	framesIn, framesOut atomic.Uint64
	bytesIn, bytesOut   atomic.Uint64
	queries             atomic.Uint64
	drops               [reasons]atomic.Uint64
}

func (c *counters) drop(why reason) { c.drops[why].Add(1) }

// Stats is a snapshot of what the router did and holds.
type Stats struct {
	FramesIn  uint64 `json:"framesIn"` // from the app
	FramesOut uint64 `json:"framesOut"`
	BytesIn   uint64 `json:"bytesIn"` // of spliced flows, from the app
	BytesOut  uint64 `json:"bytesOut"`
	Queries   uint64 `json:"queries"` // DNS
	Flows     int    `json:"flows"`   // open, both directions
	Held      int    `json:"held"`    // waiting for the Broker
	Names     int    `json:"names"`
	// Drops counts, by reason, frames that were dropped and flows that were
	// refused or cut.
	Drops map[string]uint64 `json:"drops"`
}

// Stats may be called at any time.
func (r *Router) Stats() Stats {
	c := &r.count
	s := Stats{
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Queries: c.queries.Load(),
		Names:   r.names.size(),
		Drops:   map[string]uint64{},
	}
	s.Flows, s.Held = r.flows.sizes()
	for why := range c.drops {
		if n := c.drops[why].Load(); n > 0 {
			s.Drops[reasonNames[why]] = n
		}
	}
	return s
}
