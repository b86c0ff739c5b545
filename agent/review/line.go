package review

import (
	"fmt"
	"strings"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

// Line is one right of a manifest, fit to be compared, shown and kept.
type Line struct {
	Kind    consent.Kind `json:"kind"`
	Target  string       `json:"target"`            // canonical, of a rule
	Reason  string       `json:"reason"`            // the app's words, cleaned
	Without string       `json:"without,omitempty"` // the app's words, cleaned
}

// Lines are the rights of a manifest. A kind or a target that means nothing
// makes the whole manifest an error: a line that is left out could be the one
// that the user would have minded. What stands there twice becomes one line.
func Lines(m *app.Manifest) ([]Line, error) {
	if m == nil {
		return nil, nil
	}
	var lines []Line
	at := map[[2]string]int{}
	for i, right := range m.Rights {
		line, err := lineOf(right)
		if err != nil {
			return nil, fmt.Errorf("manifest: right %d: %w", i+1, err)
		}
		key := [2]string{string(line.Kind), line.Target}
		if first, twice := at[key]; twice {
			lines[first].also(line)
			continue
		}
		at[key] = len(lines)
		lines = append(lines, line)
	}
	return lines, nil
}

func lineOf(right app.Right) (Line, error) {
	kind, target := consent.Kind(right.Kind), right.Target
	if kind.IsData() {
		target = needed(target)
	}
	canonical, err := consent.CanonicalRule(kind, target)
	if err != nil {
		return Line{}, err
	}
	line := Line{Kind: kind, Target: canonical, Reason: consent.CleanText(right.Reason), Without: consent.CleanText(right.Without)}
	if line.Reason == "" {
		return Line{}, fmt.Errorf("%s %s: the reason has no letter that can be shown", kind, canonical)
	}
	return line, nil
}

// needed takes off the marks of fields that the app can do without: a yes is
// for all of them.
func needed(fields string) string {
	parts := strings.Split(fields, ",")
	for i := range parts {
		parts[i] = strings.TrimSuffix(strings.TrimSpace(parts[i]), "?")
	}
	return strings.Join(parts, ",")
}

func (l *Line) also(twin Line) {
	if twin.Reason != l.Reason {
		l.Reason = consent.CleanText(l.Reason + "; " + twin.Reason)
	}
	if l.Without == "" {
		l.Without = twin.Without
	}
}

// Title is what a yes to the line lets the app do, in our words.
func (l Line) Title() string { return wish(l.Kind, consent.CleanTarget(l.Target)) }

func wish(kind consent.Kind, target string) string {
	switch kind {
	case consent.NetConnect:
		return "connect to " + place(target)
	case consent.NetListen:
		return "serve port " + target + " on this computer"
	case consent.FileRead:
		return "read " + target
	case consent.FileWrite:
		return "change " + target
	case consent.URLOpen:
		return "open " + target + " in your browser"
	case consent.Notify:
		return "show you notifications"
	case consent.SecretUse:
		return "use your secret " + target
	}
	name := strings.TrimPrefix(string(kind), consent.DataPrefix)
	if target == "*" {
		return "know everything of your " + name
	}
	return "know your " + name + ": " + strings.ReplaceAll(target, ",", ", ")
}

// place reads a canonical "proto/host:ports".
func place(target string) string {
	proto, rest, _ := strings.Cut(target, "/")
	colon := strings.LastIndexByte(rest, ':')
	if colon < 0 {
		return target
	}
	host, ports := rest[:colon], rest[colon+1:]
	words := "port " + ports
	switch {
	case ports == "*":
		words = "any port"
	case strings.Contains(ports, "-"):
		words = "ports " + ports
	}
	protocol := strings.ToUpper(proto)
	if proto == "any" {
		protocol = "TCP and UDP"
	}
	return fmt.Sprintf("%s, %s (%s)", hosts(host), words, protocol)
}

func hosts(host string) string {
	if below, is := strings.CutPrefix(host, "*."); is {
		return "every host below " + below
	}
	if host == "*" {
		return "every host that has a name"
	}
	if strings.Contains(host, "/") {
		return "every address in " + host
	}
	return host
}
