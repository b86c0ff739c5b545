package portal

import (
	"slices"
	"strings"
)

// Rule is one answer of the user about a connection, its target in the form of
// package consent: "tcp/api.example.com:443", "any/*.example.com:*".
type Rule struct {
	Target string
	Allow  bool
}

// maxSources bounds the policy's length; what is beyond it is not allowed.
const maxSources = 256

// Sources turns what an app may connect to into what its pages may. A policy
// knows names and single ports: addresses, ranges of ports, and wildcards
// below which something is denied give nothing. allowed says whether one
// target, written out in full, is allowed now.
//
// Port 443 becomes https and wss. Any other port becomes http and ws, which
// for a browser includes https and wss on that port, and port 80 includes 443.
func Sources(rules []Rule, allowed func(target string) bool) []string {
	var sources []string
	for _, rule := range rules {
		host, port, ok := split(rule.Target)
		switch {
		case !ok || !rule.Allow:
		case strings.HasPrefix(host, "*"):
			if !deniedBelow(rules, host) {
				sources = append(sources, sourcesOf(host, port)...)
			}
		case port == "*":
			if allowed("tcp/"+host+":443") && !deniedBelow(rules, host) {
				sources = append(sources, sourcesOf(host, port)...)
			}
		case allowed("tcp/" + host + ":" + port):
			sources = append(sources, sourcesOf(host, port)...)
		}
	}
	slices.Sort(sources)
	sources = slices.Compact(sources)
	return sources[:min(len(sources), maxSources)]
}

// split takes a target apart, if a policy can say it.
func split(target string) (host, port string, ok bool) {
	rest, isTCP := strings.CutPrefix(target, "tcp/")
	if !isTCP {
		if rest, ok = strings.CutPrefix(target, "any/"); !ok {
			return "", "", false
		}
	}
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 {
		return "", "", false
	}
	host, port = rest[:i], rest[i+1:]
	return host, port, isSourceHost(host) && isSourcePort(port)
}

// isSourceHost takes names of letters, digits, '-' and '_', with "*" alone or
// as the first label. A last label that is a number makes an address.
func isSourceHost(host string) bool {
	if host == "*" {
		return true
	}
	name := strings.TrimPrefix(host, "*.")
	last := name[strings.LastIndexByte(name, '.')+1:]
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" &&
		strings.Trim(last, "0123456789") != ""
}

func isSourcePort(port string) bool {
	return port == "*" || port != "" && strings.Trim(port, "0123456789") == ""
}

// deniedBelow says whether some rule denies a part of what host covers.
func deniedBelow(rules []Rule, host string) bool {
	suffix, wild := strings.CutPrefix(host, "*")
	for _, rule := range rules {
		if rule.Allow {
			continue
		}
		_, rest, _ := strings.Cut(rule.Target, "/")
		denied := rest[:max(strings.LastIndexByte(rest, ':'), 0)]
		if denied == host || wild && strings.HasSuffix(denied, suffix) {
			return true
		}
	}
	return false
}

func sourcesOf(host, port string) []string {
	switch {
	case host == "*" && port == "*":
		return []string{"http:", "ws:"}
	case host == "*" && port == "443":
		return []string{"https://*:443", "wss://*:443"}
	case port == "443":
		return []string{"https://" + host, "wss://" + host}
	}
	return []string{"http://" + host + ":" + port, "ws://" + host + ":" + port}
}
