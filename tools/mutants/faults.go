package mutants

// fault is one planted mistake: in file, the one place that reads from becomes to.
type fault struct {
	file, from, to string
}

// faults are on both sides of the conditions of lookup, decide and answer.
var faults = []fault{
	// Lookup: which rules are alive, and cover.
	{"grants.go", `if g.run != "" && g.run != run ||`, `if false ||`},
	{"grants.go", `g.run != "" && g.run != run`, `g.run != run`},
	{"grants.go", `g.expires != 0 && now >= g.expires`, `g.expires != 0 && now > g.expires`},
	{"grants.go", `g.expires != 0 && now >= g.expires`, `false`},
	{"grants.go", `g.proto != anyProtocol && g.proto != w.proto`, `g.proto != w.proto`},
	{"grants.go", `g.proto != anyProtocol && g.proto != w.proto`, `false`},
	{"grants.go", `return w.port >= g.lo && w.port <= g.hi`, `return w.port > g.lo && w.port <= g.hi`},
	{"grants.go", `return w.port >= g.lo && w.port <= g.hi`, `return w.port >= g.lo && w.port < g.hi`},
	{"grants.go", `return w.port >= g.lo && w.port <= g.hi`, `return w.port <= g.hi`},
	{"grants.go", `return w.port >= g.lo && w.port <= g.hi`, `return w.port >= g.lo`},
	// Lookup: which comes first.
	{"grants.go", `cmp.Compare(a.fields, b.fields),`, `cmp.Compare(b.fields, a.fields),`},
	{"grants.go", `cmp.Compare(a.hi-a.lo, b.hi-b.lo),`, ``},
	{"grants.go", `cmp.Compare(a.hi-a.lo, b.hi-b.lo),`, `cmp.Compare(b.hi-b.lo, a.hi-a.lo),`},
	{"grants.go", `cmp.Compare(wide(a.proto), wide(b.proto)),`, ``},
	{"grants.go", `cmp.Compare(a.rule.Verdict, b.rule.Verdict),`, ``},
	{"grants.go", `cmp.Compare(a.rule.Verdict, b.rule.Verdict),`, `cmp.Compare(b.rule.Verdict, a.rule.Verdict),`},
	{"grants.go", "slices.Reverse(bits)\n", ""},
	// Lookup: names, addresses, paths, pages, fields, everything.
	{"grants.go", `return match(s.text["*"], w, run, now)
		}
		if hit`, `return nil
		}
		if hit`},
	{"grants.go", `match(s.text[name[i:]], w, run, now); hit != nil {`, `match(s.text[name[i:]], w, run, now); hit != nil && false {`},
	{"grants.go", `if addr.Is4() {`, `if !addr.Is4() {`},
	{"grants.go", `path = path[:i]`, `return nil`},
	{"grants.go", `return match(s.text[originOf(w.text)], w, run, now)`, `return nil`},
	{"grants.go", `return match(s.text["*"], want{}, run, now)
}

func (s *shelf) given`, `return nil
}

func (s *shelf) given`},
	{"grants.go", "\t\t\topen = true\n", ""},
	{"grants.go", `case denied == nil:`, `case denied == nil && allowed == nil:`},
	{"grants.go", "		if hit == nil {\n			hit = rest\n		}\n", ""},
	{"grants.go", `hit != nil && hit.rule.Verdict == Allow {`, `hit != nil {`},
	{"grants.go", `	if rest != nil {
		return rest.decision(), true
	}
`, ``},
	{"grants.go", `if w.host.net.IsValid() && isMetadata(w.host.net.Addr()) {`, `if false {`},
	{"grants.go", `	if kinds == nil {
		return Decision{}, false`, `	if kinds != nil {
		return Decision{}, false`},
	// Which rules can be given.
	{"grants.go", `case (rule.Lifetime == Run) != (rule.Run != ""):`, `case false:`},
	{"grants.go", `case (rule.Lifetime == Timed) == rule.Expires.IsZero():`, `case false:`},
	{"grants.go", `case rule.Verdict > Allow:`, `case false:`},
	{"grants.go", `case rule.Kind == AnyKind && rule.Verdict != Deny:`, `case false:`},
	{"grants.go", `case text != rule.Target:`, `case false:`},
	{"grants.go", `case rule.App == "":`, `case false:`},
	// Decide.
	{"decide.go", `	if err == nil {
		err = e.Health()
	}
`, ``},
	{"decide.go", `	if err == nil {
		err = ctx.Err()
	}
`, ``},
	{"decide.go", `case out.waiter == nil && out.decision.Verdict == Allow:`, `case out.waiter == nil:`},
	{"decide.go", `case r.App.ID() == "":`, `case false:`},
	{"decide.go", `case r.App.Publisher != "" && name != r.App.Name:`, `case false:`},
	{"decide.go", `	case ask.Learn:
		return joined{`, `	case false:
		return joined{`},
	{"decide.go", `if now.Before(credit.Expires) {`, `if true {`},
	{"decide.go", `if now.Before(credit.Expires) {`, `if false {`},
	{"decide.go", `delete(e.credits, r.key())`, `_ = r`},
	{"decide.go", `if d, said := e.echoed(r, now); said {`, `if d, said := e.echoed(r, now); said && false {`},
	{"decide.go", `if ask.NoInput {`, `if false {`},
	{"decide.go", `if d, flood := e.flood(r, now); flood {`, `if d, flood := e.flood(r, now); flood && false {`},
	{"decide.go", `if !there { // taken back`, `if !there && false { // taken back`},
	{"decide.go", `Decision{Source: FromHold, Request: w.p.prompt.ID, Detail: detail}`, `Decision{Verdict: Allow, Source: FromHold, Request: w.p.prompt.ID, Detail: detail}`},
	{"decide.go", `err := e.change(spent, nil,`, `err := e.change(none, nil,`},
	// Answer.
	{"answer.go", `case p == nil, p.tooOld(now):`, `case p == nil:`},
	{"answer.go", `case subtle.ConstantTimeCompare([]byte(a.Nonce), []byte(p.prompt.Nonce)) != 1, !p.ready:`, `case subtle.ConstantTimeCompare([]byte(a.Nonce), []byte(p.prompt.Nonce)) > 1, !p.ready:`},
	{"answer.go", `case p.tooEarly(a, now):`, `case false:`},
	{"answer.go", `if a.Verdict > Allow {`, `if false {`},
	{"answer.go", `if len(p.runs) == 0 {`, `if false {`},
	{"answer.go", `if a.For <= 0 || a.For > maxTime {`, `if a.For > maxTime {`},
	{"answer.go", `if a.For <= 0 || a.For > maxTime {`, `if a.For <= 0 {`},
	{"answer.go", `base.Expires = now.Add(a.For)`, `base.Expires = now.Add(maxTime)`},
	{"answer.go", `if base.Verdict == Deny {`, `if false {`},
	{"answer.go", `if waited[target] {`, `if false {`},
	{"answer.go", `if waited[target] {`, `if true {`},
	{"answer.go", `base.Expires = base.Since.Add(lateOnce)`, `base.Expires = base.Since.Add(100 * lateOnce)`},
	{"answer.go", `case a.Everything && (a.Verdict != Deny || a.Lifetime == Once || a.Target != ""):`, `case false:`},
	{"answer.go", `!ok || d.Rule != probe.ID {`, `!ok && d.Rule != probe.ID && false {`},
	{"answer.go", `if !r.Kind.IsData() || a.Verdict != Allow || a.Target != "" {`, `if !r.Kind.IsData() || a.Target != "" {`},
	{"answer.go", `if !slices.Contains(asked, field) {`, `if !slices.Contains(asked, field) && false {`},
	{"answer.go", `	o.withhold(r)
	_, err`, `	_, err`},
	{"answer.go", `d.Verdict, d.Given = Deny, o.given`, `d.Given = o.given`},
	{"answer.go", `if o.answer.Verdict == Deny && o.answer.Lifetime == Once {`, `if false {`},
	{"answer.go", `base.Kind = AnyKind`, `_ = base`},
	{"answer.go", `(o.wide || o.given != "" || r.Target == w.target)`, `true`},
	// What leads to an answer: one shown, dead time, one attempt, flood, time.
	{"queue.go", `if shown := e.shown[p.app]; shown != nil && shown != p {`, `if shown := e.shown[p.app]; false {`},
	{"queue.go", `return p.prompt.Queued || now.Before(p.prompt.NotBefore)`, `return now.Before(p.prompt.NotBefore)`},
	{"queue.go", `return p.prompt.Queued || now.Before(p.prompt.NotBefore)`, `return p.prompt.Queued`},
	{"site.go", `now.Sub(p.prompt.Asked) < sameAttempt`, `true`},
	{"site.go", `len(p.targets()) < maxTargets`, `true`},
	{"site.go", "	p.prompt.Nonce = newNonce()\n", ""},
	{"site.go", `if !there || !now.Before(said.until) {`, `if !there {`},
	{"flood.go", `if t.count++; t.count > maxRate {`, `if t.count++; false {`},
	{"flood.go", `p != nil && now.Before(p.until) {`, `p != nil && false {`},
	{"flood.go", `waiting >= maxWaiting || live >= maxLive && (p == nil || len(p.waiters) == 0)`, `waiting >= maxWaiting`},
	{"flood.go", `if s.count++; s.count >= dismissals {`, `if s.count++; s.count > dismissals {`},
	{"unused.go", `e.cfg.Unused < 0 || r.Verdict != Allow || r.Lifetime != Always`, `e.cfg.Unused < 0 || r.Lifetime != Always`},
	{"unused.go", `return !end.IsZero() && !now.Before(end)`, `return !end.IsZero() && now.After(end)`},
	{"clock.go", `if wall := t.Round(0).UTC(); wall.After(c.high) {`, `if wall := t.Round(0).UTC(); true {`},
	{"clock.go", `c.high = c.high.Add(passed)`, `_ = passed`},
}
