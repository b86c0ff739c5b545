package sandbox

import "fmt"

// Trouble is what a network on the way said, by ICMP, of a datagram that a UDP
// flow had sent. The flow goes on. It names no address: an app need not know
// which router of the user's spoke.
type Trouble struct {
	Kind TroubleKind
	// Room is, for TooBig, how many bytes of UDP, header included, cross in one
	// piece.
	Room int
}

// TroubleKind is an ICMP error in the words of both families (RFC 792, RFC 4443).
type TroubleKind byte

// The zero value is none.
const (
	PortUnreachable TroubleKind = iota + 1
	NetUnreachable
	HostUnreachable
	ProtocolUnreachable
	Prohibited
	TooBig // "fragmentation needed" and "packet too big"
	HopLimitExceeded
	ReassemblyTimeout
	BadHeader
	troubleKinds
)

var troubleNames = [troubleKinds]string{
	"", "port unreachable", "network unreachable", "host unreachable", "protocol unreachable", "prohibited",
	"too big", "hop limit exceeded", "reassembly timed out", "bad header",
}

// Known says whether k is one of the kinds above.
func (k TroubleKind) Known() bool { return k > 0 && k < troubleKinds }

func (t Trouble) Error() string {
	switch {
	case !t.Kind.Known():
		return fmt.Sprintf("unknown trouble %d", t.Kind)
	case t.Kind == TooBig:
		return fmt.Sprintf("too big: %d bytes fit", t.Room)
	}
	return troubleNames[t.Kind]
}
