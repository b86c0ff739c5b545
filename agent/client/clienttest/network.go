package clienttest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// someFlows are one of each kind: a name, an address by a proxy, a question, a
// visitor of a published port.
func someFlows() []api.Flow {
	const run, name = "a1b2c3d4e5f6", "web"
	return []api.Flow{
		{Run: run, RunName: name, Direction: "out", Network: "tcp", Host: "example.com", Port: 443, Address: "93.184.216.34:443", State: "open", Grants: []string{"4c1f0001"}, In: 20_480, Out: 512, Began: Now.Add(-5 * time.Minute)},
		{Run: run, RunName: name, Direction: "out", Network: "tcp", Host: "2606:2800:220:1::1946", Port: 80, Address: "[2606:2800:220:1::1946]:80", Via: "socks5://proxy.example:1080", State: "open", In: 1, Out: 2, Began: Now.Add(-2 * time.Second)},
		{Run: run, RunName: name, Direction: "out", Network: "udp", Host: "time.example\u202e", Port: 123, State: "held", Began: Now.Add(-10 * time.Second)},
		{Run: run, RunName: name, Direction: "in", Network: "tcp", Host: "127.0.0.1", Port: 80, State: "open", In: 300, Out: 4000, Began: Now.Add(-time.Hour)},
	}
}

func someStats() []api.RunStats {
	return []api.RunStats{{
		ID: "a1b2c3d4e5f6", Name: "web", Stats: &sandbox.Stats{CPU: 1500 * time.Millisecond, Memory: 20 << 20, PIDs: 7},
		Network: &api.Network{
			BytesIn: 20_480, BytesOut: 512, Flows: 3, Held: 1, Names: 2, Bandwidth: 512 << 10,
			Drops: map[string]uint64{"spoofed": 3, "denied": 12},
		},
	}, {ID: "b2c3d4e5f6a1", Name: "cat"}}
}

func somePorts() []api.Port {
	return []api.Port{
		{PortMapping: api.PortMapping{Host: 8080, App: 80, URL: "http://web.localhost:8080/"}, Addresses: []string{"127.0.0.1:8080", "[::1]:8080"}, Connections: 2, Grant: "net.listen 80"},
		{PortMapping: api.PortMapping{Host: 5353, App: 53, Kind: api.PortUDP}, Addresses: []string{"127.0.0.1:5353", "[::1]:5353"}},
	}
}

func (a *Agent) networkCalls(mux *http.ServeMux) {
	for pattern, f := range map[string]func(*http.Request) (any, error){
		"GET /v1/flows":                    ofRun(someFlows),
		"GET /v1/stats":                    ofRun(someStats),
		"GET /v1/runs/{ref}/ports":         a.listPorts,
		"POST /v1/runs/{ref}/ports":        a.publish,
		"DELETE /v1/runs/{ref}/ports/{at}": a.unpublish,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { reply(w, r, f) })
	}
	mux.HandleFunc("GET /v1/runs/{ref}/capture", a.capture)
}

// ofRun lists something of every run, or of "web", which has it all.
func ofRun[T any](list func() []T) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		switch ref := r.URL.Query().Get("run"); ref {
		case "", "web":
			return list(), nil
		case "cat":
			return []T{}, nil
		default:
			return nil, notFound("run is called " + ref)
		}
	}
}

func (a *Agent) listPorts(r *http.Request) (any, error) {
	if r.PathValue("ref") != "web" {
		return []api.Port{}, nil
	}
	return somePorts(), nil
}

// publish takes every port but 8080, which is open already.
func (a *Agent) publish(r *http.Request) (any, error) {
	var m api.PortMapping
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return nil, err
	}
	if m.Host == 8080 {
		return nil, &api.Error{Code: "port-taken", Message: "port 8080 is taken", Hint: "choose another: consentry port add web 0:80", Status: http.StatusConflict}
	}
	port := api.Port{PortMapping: m, Addresses: []string{"127.0.0.1:9000", "[::1]:9000"}}
	if !m.UDP() && m.Kind != api.PortRaw {
		port.URL = "http://web.localhost:9000/"
	}
	return port, nil
}

func (a *Agent) unpublish(r *http.Request) (any, error) {
	for _, p := range somePorts() {
		if at := strings.TrimPrefix(p.Addresses[0], "127.0.0.1:"); at == r.PathValue("at") && p.UDP() == (r.URL.Query().Get("udp") != "") {
			return p, nil
		}
	}
	return nil, &api.Error{Code: "not-found", Message: "web has no port " + r.PathValue("at"), Hint: "consentry port web", Status: http.StatusNotFound}
}

// capture gives the head of a pcap file; its bound is the client's.
func (a *Agent) capture(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("ref") != "web" {
		fail(w, notFound("run is called "+r.PathValue("ref")))
		return
	}
	head := make([]byte, 24)
	copy(head, "\x4d\x3c\xb2\xa1\x02\x00\x04\x00")
	_, _ = w.Write(head)
}
