package portal

import (
	"net"
	"net/http"
	"slices"
	"strconv"
)

// Mode says how connections of a port are treated.
type Mode string

// The modes. The zero value is the one that looks.
const (
	Auto Mode = ""     // HTTP is guarded, TLS refused, the rest carried
	HTTP Mode = "http" // what is not HTTP is refused too
	Raw  Mode = "raw"  // carried without a look
)

// Policy says what becomes of the Content-Security-Policy.
type Policy string

// The policies. The zero value enforces.
const (
	Enforce Policy = ""
	Report  Policy = "report" // the browser only tells in its console
	Off     Policy = "off"
)

// Port is one published port, complete.
type Port struct {
	Host   uint16 `json:"host"` // on the user's computer
	App    uint16 `json:"app"`  // inside
	Mode   Mode   `json:"mode,omitempty"`
	Policy Policy `json:"policy,omitempty"`
	// Name is the label of the app's own origin, http://NAME.localhost:PORT.
	Name string `json:"name,omitempty"`
	// Sources are where pages may load from besides the app itself, as the
	// policy writes them. See Sources.
	Sources []string `json:"sources,omitempty"`
}

// Equal says whether nothing differs.
func (p Port) Equal(q Port) bool {
	same := slices.Equal(p.Sources, q.Sources)
	p.Sources, q.Sources = nil, nil
	return same && p.comparable() == q.comparable()
}

func (p Port) comparable() [5]string {
	return [5]string{strconv.Itoa(int(p.Host)), strconv.Itoa(int(p.App)), string(p.Mode), string(p.Policy), p.Name}
}

// names are the hosts it answers to, as a Host header writes them.
func (p Port) names() []string {
	bare := []string{"localhost", "127.0.0.1", "[::1]"}
	if p.Name != "" {
		bare = append(bare, p.Name+".localhost")
	}
	port := strconv.Itoa(int(p.Host))
	names := make([]string, 0, 2*len(bare))
	for _, name := range bare {
		names = append(names, name+":"+port)
		if p.Host == portHTTP { // browsers leave the default port out
			names = append(names, name)
		}
	}
	return names
}

const portHTTP = 80

// URL is the address of the app's own origin.
func (p Port) URL() string {
	host := "localhost"
	if p.Name != "" {
		host = p.Name + ".localhost"
	}
	if p.Host == portHTTP {
		return "http://" + host + "/"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(p.Host))) + "/"
}

// protection knows the port's own origins as the only trusted ones.
func (p Port) protection() *http.CrossOriginProtection {
	guard := http.NewCrossOriginProtection()
	for _, name := range p.names() {
		if err := guard.AddTrustedOrigin("http://" + name); err != nil {
			return http.NewCrossOriginProtection() // trusts none
		}
	}
	return guard
}
