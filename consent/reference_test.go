package consent

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// The reference: the rule order said as plainly as possible, over a list, with
// its own reading of targets and without any of the index's code. Lookup is
// compared with it over random cases.

// refVerdict is what the rules say; decided is false if nothing.
func refVerdict(rules []Rule, r Request, now time.Time) (v Verdict, decided bool, given string) {
	if r.Kind.IsData() {
		return refFields(rules, r, now)
	}
	best, found := refBest(rules, r, r.Target, now)
	if !found {
		return Deny, false, ""
	}
	return best.Verdict, true, ""
}

// refBest is the rule that decides about one target.
func refBest(rules []Rule, r Request, target string, now time.Time) (best Rule, found bool) {
	var bestRank []int
	for _, rule := range rules {
		if !refAlive(rule, r, now) {
			continue
		}
		rank, covers := refRank(rule, r.Kind, target)
		if !covers {
			continue
		}
		switch c := refCompare(rank, bestRank); {
		case !found || c > 0:
			best, bestRank, found = rule, rank, true
		case c == 0 && rule.Verdict == Deny:
			best = rule
		}
	}
	return best, found
}

func refAlive(rule Rule, r Request, now time.Time) bool {
	ended := !rule.Expires.IsZero() && !now.Before(rule.Expires) || !rule.Lapses.IsZero() && !now.Before(rule.Lapses)
	return rule.App == r.App.ID() && (rule.Run == "" || rule.Run == r.Run) && !ended
}

func refCompare(a, b []int) int {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			if i < len(b) && a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// refRank says whether the rule covers the target, and how specific it is: the
// list that is greater at the first difference is more specific.
func refRank(rule Rule, k Kind, target string) (rank []int, covers bool) {
	switch {
	case rule.Kind == AnyKind:
		return []int{-1}, true
	case rule.Kind != k:
		return nil, false
	}
	switch k {
	case NetConnect:
		return refNet(rule.Target, target)
	case NetListen:
		lo, hi := refPorts(rule.Target)
		port, _ := strconv.Atoi(target)
		return []int{0, lo - hi}, lo <= port && port <= hi
	case FileRead, FileWrite:
		return []int{strings.Count(rule.Target, "/")}, target == rule.Target || strings.HasPrefix(target, rule.Target+"/")
	case URLOpen:
		if rule.Target == target {
			return []int{1}, true
		}
		isOrigin := strings.Count(rule.Target, "/") == 2
		rest, below := strings.CutPrefix(target, rule.Target)
		return []int{0}, isOrigin && below && strings.ContainsAny(rest[:1], "/?#")
	}
	return []int{0}, rule.Target == target
}

func refNet(rule, target string) (rank []int, covers bool) {
	ruleProto, ruleHost, rulePorts := refSplit(rule)
	proto, host, portText := refSplit(target)
	port, _ := strconv.Atoi(portText)
	lo, hi := refPorts(rulePorts)
	if port < lo || port > hi || ruleProto != "any" && ruleProto != proto {
		return nil, false
	}
	hostRank, covers := refHost(ruleHost, host)
	one := 0
	if ruleProto != "any" {
		one = 1
	}
	return []int{hostRank, lo - hi, one}, covers
}

func refSplit(text string) (proto, host, port string) {
	proto, rest, _ := strings.Cut(text, "/")
	i := strings.LastIndex(rest, ":")
	return proto, strings.Trim(rest[:i], "[]"), rest[i+1:]
}

func refPorts(text string) (lo, hi int) {
	if text == "*" {
		return 1, 65535
	}
	first, last, isRange := strings.Cut(text, "-")
	lo, _ = strconv.Atoi(first)
	if !isRange {
		return lo, lo
	}
	hi, _ = strconv.Atoi(last)
	return lo, hi
}

func refHost(rule, host string) (rank int, covers bool) {
	addr, err := netip.ParseAddr(host)
	if err == nil { // an address: only addresses and prefixes cover it
		p, err := netip.ParsePrefix(rule)
		if err != nil {
			one, err := netip.ParseAddr(rule)
			return 1000, err == nil && one == addr
		}
		return p.Bits(), p.Contains(addr)
	}
	if rule == host {
		return 1000, true
	}
	if rule == "*" {
		return 0, true
	}
	below, wild := strings.CutPrefix(rule, "*")
	return strings.Count(rule, "."), wild && strings.HasSuffix(host, below)
}

// refFields: each field by itself; a denied one denies all, one that nothing
// decides leaves the request open.
func refFields(rules []Rule, r Request, now time.Time) (v Verdict, decided bool, given string) {
	var allowed []string
	open, denied := false, false
	for _, field := range strings.Split(r.Target, ",") {
		best, found := refField(rules, r, field, now)
		switch {
		case !found:
			open = true
		case best.Verdict == Allow:
			allowed = append(allowed, field)
		default:
			denied = true
		}
	}
	switch {
	case denied:
		return Deny, true, strings.Join(allowed, ",")
	case open:
		return Deny, false, ""
	}
	return Allow, true, ""
}

// refField: a rule that names the field before "*", and of those the one that
// names fewer fields.
func refField(rules []Rule, r Request, field string, now time.Time) (best Rule, found bool) {
	var bestRank []int
	for _, rule := range rules {
		if !refAlive(rule, r, now) {
			continue
		}
		var rank []int
		fields := strings.Split(rule.Target, ",")
		switch {
		case rule.Kind == AnyKind:
			rank = []int{-1}
		case rule.Kind != r.Kind:
			continue
		case rule.Target == "*":
			rank = []int{0}
		case strings.Contains(","+rule.Target+",", ","+field+","):
			rank = []int{1, -len(fields)}
		default:
			continue
		}
		switch c := refCompare(rank, bestRank); {
		case !found || c > 0:
			best, bestRank, found = rule, rank, true
		case c == 0 && rule.Verdict == Deny:
			best = rule
		}
	}
	return best, found
}

// long says whether the long variants of tests are asked for.
func long() bool { return os.Getenv("CONSENTRY_LONG") != "" }
