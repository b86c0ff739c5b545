package agent

import (
	"net/http"
	"strconv"

	"github.com/consentry/consentry/agent/api"
)

// networkCalls are the calls about the network of one run.
func (a *Agent) networkCalls() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/runs/{ref}/ports":           a.listPorts,
		"POST /v1/runs/{ref}/ports":          a.addPort,
		"DELETE /v1/runs/{ref}/ports/{host}": a.removePort,
		"GET /v1/runs/{ref}/capture":         a.captureRun,
		"GET /v1/flows":                      a.listFlows,
	}
}

// checkPorts refuses mappings that no machine could serve.
func checkPorts(list []api.PortMapping) error {
	if len(list) > maxPorts {
		return invalid("an app can have %d published ports", maxPorts)
	}
	type place struct {
		port uint16
		udp  bool
	}
	seen := map[place]bool{}
	for _, p := range list {
		if err := checkPort(p); err != nil {
			return err
		}
		at := place{p.Host, p.UDP()}
		if p.Host != 0 && seen[at] {
			return invalid("port %d is published twice", p.Host)
		}
		seen[at] = true
	}
	return nil
}

func checkPort(p api.PortMapping) error {
	if p.App == 0 {
		return invalid("port 0 of the app cannot be published")
	}
	switch p.Kind {
	case api.PortAuto, api.PortHTTP:
	case api.PortRaw, api.PortUDP:
		if p.CSP != api.CSPOn {
			return invalid("port %d: only HTTP has a Content-Security-Policy", p.App)
		}
	default:
		return invalid("port %d: kind %q is not known; there are http, raw and udp", p.App, p.Kind)
	}
	switch p.CSP {
	case api.CSPOn, api.CSPReport, api.CSPOff:
		return nil
	}
	return invalid("port %d: csp %q is not known; there are report and off, and on by default", p.App, p.CSP)
}

// liveRun finds a run that is alive.
func (a *Agent) liveRun(r *http.Request) (*run, *live, error) {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return nil, nil, err
	}
	rec, l := run.snapshot()
	if l == nil {
		return nil, nil, notRunning(rec.Name)
	}
	return run, l, nil
}

func (a *Agent) listPorts(w http.ResponseWriter, r *http.Request) error {
	_, l, err := a.liveRun(r)
	if err != nil {
		return err
	}
	list := []api.Port{}
	for _, p := range l.ports.all() {
		list = append(list, l.portStatus(p))
	}
	return ok(w, list)
}

func (l *live) portStatus(p *published) api.Port {
	status := p.status()
	if status.URL != "" && status.CSP != api.CSPOff {
		status.Sources = l.sources()
	}
	return status
}

func (a *Agent) addPort(w http.ResponseWriter, r *http.Request) error {
	_, l, err := a.liveRun(r)
	if err != nil {
		return err
	}
	var mapping api.PortMapping
	if err := readBody(r, &mapping); err != nil {
		return err
	}
	if err := checkPort(mapping); err != nil {
		return err
	}
	p, err := l.publish(r.Context(), mapping, nil)
	if err != nil {
		return err
	}
	l.portsChanged("publish", p.mapping)
	return ok(w, l.portStatus(p))
}

func (a *Agent) removePort(w http.ResponseWriter, r *http.Request) error {
	run, l, err := a.liveRun(r)
	if err != nil {
		return err
	}
	host, err := strconv.ParseUint(r.PathValue("host"), 10, 16)
	if err != nil {
		return invalid("%q is not a port", r.PathValue("host"))
	}
	p := l.ports.find(uint16(host), r.URL.Query().Get("udp") != "")
	if p == nil {
		return &api.Error{
			Code: "not-found", Message: run.rec.Name + " has not published port " + r.PathValue("host"), Status: statusNotFound,
			Hint: "see its ports with: consentry port ls " + run.rec.Name,
		}
	}
	status := l.portStatus(p)
	if err := l.unpublish(r.Context(), p); err != nil {
		return err
	}
	l.portsChanged("unpublish", p.mapping)
	return ok(w, status)
}
