package agent

import (
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

func TestRestartPolicy(t *testing.T) {
	for text, want := range map[string]restartPolicy{
		"": {}, "no": {}, "always": {when: always}, "unless-stopped": {when: unlessStopped},
		"on-failure": {when: onFailure}, "on-failure:3": {onFailure, 3},
	} {
		if got, err := parseRestart(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yes", "always:3", "on-failure:", "on-failure:0", "on-failure:-1", "on-failure:x", "no:1", ":3"} {
		if got, err := parseRestart(text); err == nil || got.when != "" {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestWhatIsRestarted(t *testing.T) {
	failed, fine := sandbox.Exit{Code: 1}, sandbox.Exit{}
	for _, c := range []struct {
		policy string
		exit   sandbox.Exit
		byUser bool
		times  int
		want   bool
	}{
		{"no", failed, false, 0, false},
		{"on-failure", failed, false, 1000, true},
		{"on-failure", fine, false, 0, false},
		{"on-failure:2", failed, false, 1, true},
		{"on-failure:2", failed, false, 2, false},
		{"on-failure", failed, true, 0, false},
		{"always", fine, false, 1000, true},
		{"always", fine, true, 0, false},
		{"unless-stopped", failed, false, 5, true},
		{"unless-stopped", failed, true, 0, false},
	} {
		policy, err := parseRestart(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		if got := policy.again(c.exit, c.byUser, c.times); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestBackoffGrowsAndEnds(t *testing.T) {
	before := time.Duration(0)
	for times := range 70 {
		wait := backoff(times)
		if wait < before || wait < firstBackoff || wait > mostBackoff {
			t.Fatalf("after %d restarts: %s, before %s", times, wait, before)
		}
		before = wait
	}
	if before != mostBackoff {
		t.Errorf("ends at %s", before)
	}
}
