package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consentry/consentry/app"
)

// ErrWider is the end of GiveBack where the app would have more than before.
var ErrWider = errors.New("another grant that gives more would decide then")

// GiveBack takes back a yes on the wish of the app that has it, from within a
// run. It wraps ErrNoSuchRule for what is not a yes of that app and run about
// the user's data, a secret or an action, and ErrWider where the rule is what
// keeps a wider one from deciding: an app may not widen what it has.
func (e *Engine) GiveBack(ctx context.Context, which app.App, run, id string) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	e.ruleMu.Lock()
	defer e.ruleMu.Unlock()
	e.mu.Lock()
	rest := slices.Clone(e.rules)
	e.mu.Unlock()
	at := slices.IndexFunc(rest, func(r Rule) bool {
		return r.ID == id && r.App == which.ID() && (r.Run == "" || r.Run == run) && r.Verdict == Allow && r.Lifetime != Once && r.Kind.ByDataAPI()
	})
	if at < 0 {
		return fmt.Errorf("%w: %.40q", ErrNoSuchRule, id)
	}
	given := rest[at]
	rest = slices.DeleteFunc(slices.Delete(rest, at, at+1), func(r Rule) bool { return r.Lifetime == Once })
	without, err := NewGrants(rest)
	if err != nil {
		return err
	}
	for target := range strings.SplitSeq(given.Target, ",") {
		d, found := without.Lookup(Request{App: which, Run: run, Kind: given.Kind, Target: target}, e.clock.time())
		if found && d.Verdict == Allow {
			return ErrWider
		}
	}
	line := given.line("revoke", e.clock.time())
	line.By = "app"
	return e.change(func(r Rule) bool { return r.ID == id }, nil, &op{lines: []Line{line}})
}

// ByDataAPI says whether the kind is one that apps ask for at the data API.
func (k Kind) ByDataAPI() bool { return k.IsData() || k == SecretUse || k == Notify || k == URLOpen }
