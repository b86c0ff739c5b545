package api

// PortMapping publishes a port of the app on 127.0.0.1 and ::1.
type PortMapping struct {
	Host uint16 `json:"host"` // 0: any free port
	App  uint16 `json:"app"`
	// Kind says what is carried.
	Kind PortKind `json:"kind,omitempty"`
	// CSP says what becomes of the Content-Security-Policy of HTTP answers.
	CSP CSP `json:"csp,omitempty"`
	// URL is where a browser finds the page of the app, at an origin of its
	// own. The agent sets it.
	URL string `json:"url,omitempty"`
}

// PortKind is how connections of a port are treated.
type PortKind string

// The kinds. The zero value looks at each connection: HTTP is guarded, TLS is
// refused, anything else is carried.
const (
	PortAuto PortKind = ""
	PortHTTP PortKind = "http" // nothing but HTTP
	PortRaw  PortKind = "raw"  // TCP, carried without a look: no guard and no policy
	PortUDP  PortKind = "udp"
)

// CSP says what becomes of the Content-Security-Policy.
type CSP string

// The choices. The zero value enforces it.
const (
	CSPOn     CSP = ""
	CSPReport CSP = "report" // browsers tell in their console only
	CSPOff    CSP = "off"
)

// UDP says whether the port is one of UDP.
func (p PortMapping) UDP() bool { return p.Kind == PortUDP }

// Port is one published port of a running app.
type Port struct {
	PortMapping
	Addresses   []string `json:"addresses"`         // "127.0.0.1:8080", "[::1]:8080"
	Connections int      `json:"connections"`       // open now; of UDP: clients
	Sources     []string `json:"sources,omitempty"` // where pages may load from besides the app itself
	Grant       string   `json:"grant,omitempty"`   // the right it is published by, when the app asked for it
}
