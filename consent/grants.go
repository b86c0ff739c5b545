package consent

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/app"
)

// Rule is an answer that lasts: a yes or a no.
type Rule struct {
	ID       string
	App      app.ID
	AppName  string
	Run      string // only with Lifetime Run: the run it holds for
	Kind     Kind
	Target   string // canonical, may be wider than a request
	Verdict  Verdict
	Lifetime Lifetime
	Expires  time.Time // zero: never
	Since    time.Time
	Lapses   time.Time // when it ends if it is not used before; zero: never
	Used     time.Time // last use; zero: never used
	Uses     int64
	By       string // who answered: "terminal", "cli", …
	Shape    string // data: what the user made of the yes; nothing here reads it
}

// maxShape bounds Rule.Shape, in bytes.
const maxShape = 8 << 10

// Grants is a set of rules, built once and never changed; it is safe for use
// by many goroutines.
//
// Of the rules that cover a request the most specific decides. The host (or
// path, or field) counts first: an exact name before "*.a.b" before "*.b"
// before "*"; an address before a longer prefix before a shorter one; a path
// before the folders above it. Then the ports: one, then the narrower range.
// Then the protocol: one before both. Between equals a no beats a yes. A no to
// everything (AnyKind) comes last.
type Grants struct {
	apps map[string]map[Kind]*shelf // by app.ID
}

// shelf holds an app's rules of one kind under their keys.
type shelf struct {
	text map[string][]grant
	nets map[netip.Prefix][]grant
	// The prefix lengths in nets, longest first, so that a lookup tries only those.
	bits4, bits6 []int
}

// grant is a rule under one key. A slice of them is sorted so that the first
// that matches decides.
type grant struct {
	rule    *Rule
	run     string
	expires int64 // Unix nanoseconds; 0: never
	lo, hi  uint16
	proto   protocol
	fields  int // data: fewer is more specific
}

// NewGrants builds the index of rules. A rule that is not canonical, or whose
// lifetime makes no sense, is an error.
func NewGrants(rules []Rule) (*Grants, error) {
	g := &Grants{apps: map[string]map[Kind]*shelf{}}
	for i := range rules {
		rule := rules[i]
		if err := g.add(&rule); err != nil {
			return nil, fmt.Errorf("rule %s: %w", rule.ID, err)
		}
	}
	for _, kinds := range g.apps {
		for _, s := range kinds {
			s.sort()
		}
	}
	return g, nil
}

func (g *Grants) add(rule *Rule) error {
	s, text, err := parseScope(rule.Kind, rule.Target)
	switch {
	case err != nil:
		return err
	case text != rule.Target:
		return fmt.Errorf("target %q is not canonical, want %q", rule.Target, text)
	case rule.App == "":
		return errors.New("is for no app")
	case (rule.Lifetime == Run) != (rule.Run != ""):
		return errors.New("only a rule for a run names one")
	case (rule.Lifetime == Timed) == rule.Expires.IsZero():
		return errors.New("only a rule for a time expires")
	case rule.Shape != "" && (rule.Verdict != Allow || !rule.Kind.IsData()):
		return errors.New("only a yes about data has a shape")
	case len(rule.Shape) > maxShape:
		return fmt.Errorf("a shape of more than %d bytes", maxShape)
	case rule.Verdict > Allow:
		return errors.New("verdict is not known")
	case rule.Kind == AnyKind && rule.Verdict != Deny:
		return errAllowsAll
	case rule.Lifetime != Run && rule.Lifetime != Timed && rule.Lifetime != Always:
		return fmt.Errorf("lifetime %q makes no rule", rule.Lifetime)
	}
	entry := grant{rule: rule, run: rule.Run, lo: s.lo, hi: s.hi, proto: s.proto, fields: len(s.keys)}
	entry.expires = toNano(rule.ends())
	g.shelf(rule.App, rule.Kind).put(s, entry)
	return nil
}

func (g *Grants) shelf(id app.ID, k Kind) *shelf {
	kinds := g.apps[string(id)]
	if kinds == nil {
		kinds = map[Kind]*shelf{}
		g.apps[string(id)] = kinds
	}
	s := kinds[k]
	if s == nil {
		s = &shelf{text: map[string][]grant{}, nets: map[netip.Prefix][]grant{}}
		kinds[k] = s
	}
	return s
}

func (s *shelf) put(sc scope, entry grant) {
	for _, key := range sc.keys {
		s.text[key] = append(s.text[key], entry)
	}
	for _, h := range sc.hosts {
		if h.net.IsValid() {
			s.nets[h.net] = append(s.nets[h.net], entry)
		} else {
			s.text[h.name] = append(s.text[h.name], entry)
		}
	}
}

func (s *shelf) sort() {
	for _, entries := range s.text {
		slices.SortFunc(entries, bySpecificity)
	}
	for p, entries := range s.nets {
		slices.SortFunc(entries, bySpecificity)
		if p.Addr().Is4() {
			s.bits4 = append(s.bits4, p.Bits())
		} else {
			s.bits6 = append(s.bits6, p.Bits())
		}
	}
	s.bits4 = longestFirst(s.bits4)
	s.bits6 = longestFirst(s.bits6)
}

func longestFirst(bits []int) []int {
	slices.Sort(bits)
	bits = slices.Compact(bits)
	slices.Reverse(bits)
	return bits
}

// bySpecificity orders rules under the same key; deny (the zero verdict) comes
// before allow, and a yes that was shaped before one to everything.
func bySpecificity(a, b grant) int {
	return cmp.Or(
		cmp.Compare(a.fields, b.fields),
		cmp.Compare(a.hi-a.lo, b.hi-b.lo),
		cmp.Compare(wide(a.proto), wide(b.proto)),
		cmp.Compare(a.rule.Verdict, b.rule.Verdict),
		-cmp.Compare(min(len(a.rule.Shape), 1), min(len(b.rule.Shape), 1)),
		cmp.Compare(a.rule.ID, b.rule.ID),
	)
}

func wide(p protocol) int {
	if p == anyProtocol {
		return 1
	}
	return 0
}

// Lookup says what the rules say about r at now; false if they say nothing.
// The target must be canonical (see Canonical): another one is refused, as are
// an unknown kind and the metadata addresses of clouds, whatever the rules
// say. It takes no memory.
func (g *Grants) Lookup(r Request, now time.Time) (Decision, bool) {
	f := formOf(r.Kind)
	if f == nil {
		return refusal("no right of this kind can be granted"), true
	}
	w, err := f.take(r.Target)
	if err != nil {
		return refusal("the target is not in canonical form"), true
	}
	if w.host.net.IsValid() && isMetadata(w.host.net.Addr()) {
		return refusal(metadataNever), true
	}
	var buf [256]byte // an ID longer than this costs an allocation
	kinds := g.apps[string(appendID(buf[:0], r.App))]
	if kinds == nil {
		return Decision{}, false
	}
	at := now.UnixNano()
	rest := kinds[AnyKind].everything(r.Run, at)
	s := kinds[r.Kind]
	if s != nil && f == dataForm {
		return s.fields(w.text, rest, r.Run, at)
	}
	if s != nil {
		if hit := s.find(r.Kind, w, r.Run, at); hit != nil {
			return hit.decision(), true
		}
	}
	if rest != nil {
		return rest.decision(), true
	}
	return Decision{}, false
}

// everything is the rule about all that no other decides, or nil.
func (s *shelf) everything(run string, now int64) *grant {
	if s == nil {
		return nil
	}
	return match(s.text["*"], want{}, run, now)
}

// appendID writes app.App.ID without taking memory.
func appendID(b []byte, a app.App) []byte {
	if a.Publisher == "" {
		return append(b, a.Digest...)
	}
	b = append(b, "pub:"...)
	b = append(b, a.Publisher...)
	b = append(b, '#')
	return append(b, a.Name...)
}

func refusal(detail string) Decision { return Decision{Source: FromFault, Detail: detail} }

func (g *grant) decision() Decision {
	return Decision{Verdict: g.rule.Verdict, Source: FromRule, Rule: g.rule.ID, Shape: g.rule.Shape}
}

// find tries the keys that may cover w, most specific first.
func (s *shelf) find(k Kind, w want, run string, now int64) *grant {
	switch k {
	case NetConnect:
		if w.host.net.IsValid() {
			return s.findAddr(w, run, now)
		}
		return s.findName(w, run, now)
	case FileRead, FileWrite:
		return s.findPath(w, run, now)
	case URLOpen:
		if hit := match(s.text[w.text], w, run, now); hit != nil {
			return hit
		}
		return match(s.text[originOf(w.text)], w, run, now)
	}
	return match(s.text[w.text], w, run, now)
}

func (s *shelf) findName(w want, run string, now int64) *grant {
	name := w.host.name
	if hit := match(s.text[name], w, run, now); hit != nil {
		return hit
	}
	for {
		i := strings.IndexByte(name, '.')
		if i < 0 {
			return match(s.text["*"], w, run, now)
		}
		if hit := match(s.text[name[i:]], w, run, now); hit != nil {
			return hit
		}
		name = name[i+1:]
	}
}

func (s *shelf) findAddr(w want, run string, now int64) *grant {
	addr, lengths := w.host.net.Addr(), s.bits6
	if addr.Is4() {
		lengths = s.bits4
	}
	for _, bits := range lengths {
		p, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if hit := match(s.nets[p], w, run, now); hit != nil {
			return hit
		}
	}
	return nil
}

func (s *shelf) findPath(w want, run string, now int64) *grant {
	for path := w.text; ; {
		if hit := match(s.text[path], w, run, now); hit != nil {
			return hit
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return nil
		}
		path = path[:i]
	}
}

func match(entries []grant, w want, run string, now int64) *grant {
	for i := range entries {
		if g := &entries[i]; g.covers(w, run, now) {
			return g
		}
	}
	return nil
}

func (g *grant) covers(w want, run string, now int64) bool {
	if g.run != "" && g.run != run || g.expires != 0 && now >= g.expires {
		return false
	}
	if g.proto != anyProtocol && g.proto != w.proto {
		return false
	}
	return w.port >= g.lo && w.port <= g.hi // both 0 where there are no ports
}

// fields decides about each field by itself. One denied field denies the
// request, and Given says which ones were allowed; one that no rule covers, not
// even rest, leaves it open.
func (s *shelf) fields(text string, rest *grant, run string, now int64) (Decision, bool) {
	var allowed, denied *grant
	open := false
	for list := text; list != ""; {
		var field string
		field, list, _ = strings.Cut(list, ",")
		hit := s.field(field, run, now)
		if hit == nil {
			hit = rest
		}
		switch {
		case hit == nil:
			open = true
		case hit.rule.Verdict == Allow:
			allowed = hit
		case denied == nil:
			denied = hit
		}
	}
	switch {
	case denied != nil:
		d := denied.decision()
		if allowed != nil {
			d.Given = s.given(text, run, now)
		}
		return d, true
	case open:
		return Decision{}, false
	}
	return allowed.decision(), true
}

func (s *shelf) field(field, run string, now int64) *grant {
	if hit := match(s.text[field], want{}, run, now); hit != nil {
		return hit
	}
	return match(s.text["*"], want{}, run, now)
}

func (s *shelf) given(text, run string, now int64) string {
	var fields []string
	for field := range strings.SplitSeq(text, ",") {
		if hit := s.field(field, run, now); hit != nil && hit.rule.Verdict == Allow {
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ",")
}
