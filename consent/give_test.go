package consent

import (
	"errors"
	"testing"
	"time"
)

func TestGiveGivesAllOrNone(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	rule := func(target string, v Verdict) Rule {
		return Rule{App: "sha256:aa", AppName: "n", Kind: NetConnect, Target: target, Verdict: v, By: "import"}
	}
	for name, rules := range map[string][]Rule{
		"a bad target":    {rule("tcp/a.b:443", Allow), rule("tcp/a b:443", Deny)},
		"port 0":          {rule("tcp/a.b:443", Allow), rule("tcp/a.b:0", Allow)},
		"one thing twice": {rule("tcp/a.b:443", Allow), rule("tcp/A.b:443", Deny)},
		"no app":          {rule("tcp/a.b:443", Allow), {Kind: Notify, Target: "*"}},
	} {
		if _, err := e.Give(t.Context(), rules); !errors.Is(err, ErrBadRule) {
			t.Errorf("%s: %v", name, err)
		}
		if left := e.Rules(""); len(left) != 0 {
			t.Errorf("%s left %+v", name, left)
		}
	}
	given, err := e.Give(t.Context(), []Rule{rule("a.b:443", Allow), rule("tcp/*.b:443", Deny)})
	if err != nil || len(given) != 2 || given[0].Target != "tcp/a.b:443" || len(e.Rules("")) != 2 {
		t.Fatalf("%+v, %v", given, err)
	}
	lines, err := e.Log(t.Context(), Query{})
	if err != nil || len(lines) != 2 || lines[0].Event != "allow" || lines[1].Event != "deny" || lines[1].By != "import" {
		t.Errorf("%+v, %v", lines, err)
	}
	if none, err := e.Give(t.Context(), nil); err != nil || none != nil {
		t.Errorf("nothing: %v, %v", none, err)
	}
}
