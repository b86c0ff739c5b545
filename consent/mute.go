package consent

import (
	"context"
	"errors"
	"fmt"

	"github.com/consentry/consentry/app"
)

// AnyKind stands for every kind of right there is and will be, in rules only.
// Such a rule can only deny; it is the least specific of all, so that what
// another rule allows stays allowed.
const AnyKind Kind = "*"

// anyForm is how AnyKind's one target is written. No request is of that kind.
var anyForm = &form{
	canonical: func(string) (string, error) { return "", errNoRequest },
	take:      func(string) (want, error) { return want{}, errNoRequest },
	scope:     textScope(canonicalAny),
}

var (
	errNoRequest = errors.New("no request is for everything")
	errAllowsAll = errors.New("everything can be denied, not allowed")
)

func canonicalAny(text string) (string, error) {
	if text != "" && text != "*" {
		return "", errors.New(`the target of everything is "*"`)
	}
	return "*", nil
}

// StopAsking denies all that no rule allows to the app, without asking, until
// AskAgain: the rule it returns is one like others and stands among them. What
// the app waits for now is denied.
func (e *Engine) StopAsking(ctx context.Context, a app.App, by string) (Rule, error) {
	rule, err := e.Allow(ctx, Rule{
		App: a.ID(), AppName: a.Name, Kind: AnyKind, Target: "*", Verdict: Deny, Lifetime: Always, By: by,
	})
	if err != nil {
		return Rule{}, fmt.Errorf("stop asking: %w", err)
	}
	return rule, nil
}

// AskAgain undoes StopAsking, and returns the rules it took back.
func (e *Engine) AskAgain(ctx context.Context, id app.ID) ([]Rule, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	var taken []Rule
	for _, r := range e.Rules(id) {
		if r.Kind != AnyKind {
			continue
		}
		gone, err := e.Revoke(ctx, Selector{ID: r.ID})
		if err != nil {
			return taken, fmt.Errorf("ask again: %w", err)
		}
		taken = append(taken, gone...)
	}
	return taken, nil
}
