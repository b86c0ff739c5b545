package sandbox

import "context"

// Lookuper is a Broker that asks for records of other people's names. Each
// question is one for the host, as of a flow to it on UDP port 53.
type Lookuper interface {
	Lookup(context.Context, Lookup) (Records, error)
}

// MaxRecords bounds the records of one answer.
const MaxRecords = 64

// Lookup is a DNS question.
type Lookup struct {
	Host    string `json:"host"`              // a name as CanonicalHost returns it
	Service string `json:"service,omitempty"` // labels before it, each with an underscore: "_sip._tcp"
	Type    string `json:"type"`              // "TXT", "MX" or "SRV"
}

// Records are the answer; none are no error.
type Records struct {
	TXT     []string `json:"txt,omitempty"`
	Servers []Server `json:"servers,omitempty"` // of MX and SRV
}

// Server is one MX or SRV record; MX has neither weight nor port.
type Server struct {
	Host     string `json:"host"`
	Port     uint16 `json:"port,omitempty"`
	Priority uint16 `json:"priority"`
	Weight   uint16 `json:"weight,omitempty"`
}
