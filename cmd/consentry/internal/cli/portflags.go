package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

const portExample = "-p 8080, or -p 9000:8080 for port 8080 of the app at http://localhost:9000"

// portKinds are the words after the slash. /tcp is what docker writes for what
// is so anyway.
var portKinds = map[string]api.PortKind{
	"": api.PortAuto, "tcp": api.PortAuto, "http": api.PortHTTP, "raw": api.PortRaw, "udp": api.PortUDP,
}

// parsePort reads [HOST:]APP[/KIND]; "8080" is port 8080 on both sides. An
// address before it is taken only if it is the one we publish on anyway.
func parsePort(text string) (api.PortMapping, error) {
	fail := func(wrong string) (api.PortMapping, error) {
		return api.PortMapping{}, badFlag("-p", text, wrong, portExample)
	}
	spec, word, _ := strings.Cut(text, "/")
	kind, known := portKinds[word]
	if !known {
		return fail(fmt.Sprintf("there is no /%s; there are /http, /raw and /udp", word))
	}
	if i := strings.LastIndex(spec, ":"); i >= 0 {
		if j := strings.LastIndex(spec[:i], ":"); j >= 0 {
			if !loopback(spec[:j]) {
				return fail("ports are published on 127.0.0.1 and ::1 only, never on another address")
			}
			spec = spec[j+1:]
		}
	}
	hostText, appText, both := strings.Cut(spec, ":")
	if !both {
		appText = hostText
	}
	host, err := strconv.ParseUint(hostText, 10, 16)
	if err != nil {
		return fail(fmt.Sprintf("%q is not a port (0 to 65535)", hostText))
	}
	app, err := strconv.ParseUint(appText, 10, 16)
	if err != nil || app == 0 {
		return fail(fmt.Sprintf("%q is not a port of an app (1 to 65535)", appText))
	}
	return api.PortMapping{Host: uint16(host), App: uint16(app), Kind: kind}, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

var cspWords = map[string]api.CSP{"on": api.CSPOn, "report": api.CSPReport, "off": api.CSPOff}

// setCSP reads [PORT=]on|off|report, PORT being one on this computer, and sets
// it on those ports that are HTTP.
func setCSP(list []api.PortMapping, texts []string) error {
	for _, text := range texts {
		port, word, one := strings.Cut(text, "=")
		if !one {
			port, word = "", text
		}
		csp, known := cspWords[word]
		if !known {
			return badFlag("--csp", text, "there are on, off and report", "--csp report, or --csp 8080=off")
		}
		if !applyCSP(list, port, csp) {
			return badFlag("--csp", text, "no such port is published with -p, or it is not HTTP", "-p 8080 --csp 8080=off")
		}
	}
	return nil
}

func applyCSP(list []api.PortMapping, port string, csp api.CSP) (found bool) {
	for i, p := range list {
		isHTTP := p.Kind == api.PortAuto || p.Kind == api.PortHTTP
		if isHTTP && (port == "" || port == strconv.Itoa(int(p.Host))) {
			list[i].CSP, found = csp, true
		}
	}
	return found
}
