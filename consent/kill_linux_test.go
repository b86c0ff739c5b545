package consent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// killCases are the answers whose saving is interrupted.
var killCases = []struct {
	name     string
	verdict  Verdict
	lifetime Lifetime
	late     bool
}{
	{"allow always", Allow, Always, false},
	{"deny always", Deny, Always, false},
	{"allow for a time", Allow, Timed, false},
	{"allow once", Allow, Once, false},
	{"deny once", Deny, Once, false},
	{"allow once, late", Allow, Once, true},
}

const (
	killDir  = "CONSENTRY_TEST_KILL_DIR"
	killCase = "CONSENTRY_TEST_KILL_CASE"
	killStep = "CONSENTRY_TEST_KILL_STEP"
)

// TestKill9AtEachStep has a process with a real store ask, answer, save and
// release, and kill -9 itself at each step in turn. What it said before was seen
// by the user.
func TestKill9AtEachStep(t *testing.T) {
	if os.Getenv(killDir) != "" {
		askAnswerSaveRelease(t)
		return
	}
	for i, c := range killCases {
		t.Run(c.name, func(t *testing.T) {
			steps := 0
			for ; ; steps++ {
				if steps > 200 {
					t.Fatal("it never comes to its end")
				}
				if said, killed := killedAt(t, i, steps+1); !killed {
					if !slices.Contains(said, "confirmed") || !slices.Contains(said, "released") {
						t.Errorf("the undisturbed run says %q", said)
					}
					break
				}
			}
			t.Logf("killed at each of %d steps", steps)
			if steps < 8 {
				t.Error("those are too few steps")
			}
		})
	}
}

// killedAt runs the process, and judges what it left.
func killedAt(t *testing.T, which, step int) (said []string, killed bool) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKill9AtEachStep$")
	cmd.Env = append(os.Environ(), killDir+"="+dir, killCase+"="+strconv.Itoa(which), killStep+"="+strconv.Itoa(step))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err != nil && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s\n%s", err, out, exit.Stderr)
	}
	said = strings.Fields(string(out))
	e := openWith(t, Config{Dir: dir})
	if err := e.Health(); err != nil {
		t.Errorf("step %d, after %q: %v", step, said, err)
		return said, err != nil
	}
	judge(t, e, which, step, said)
	return said, err != nil
}

// judge holds what is on disk against what was said.
func judge(t *testing.T, e *Engine, which, step int, said []string) {
	t.Helper()
	c := killCases[which]
	lines, logErr := e.Log(t.Context(), Query{})
	must(t, logErr)
	count := map[string]int{}
	for _, l := range lines {
		count[l.Event]++
	}
	waits, rules := len(e.Pending()), len(e.Rules(""))
	why := e.Why(demo, "run1", NetConnect, target).Verdict
	complain := func(what string) {
		t.Errorf("step %d, said %q: %s; events %v, %d wait, %d rules, now %s", step, said, what, count, waits, rules, why)
	}
	lasts := c.lifetime == Always || c.lifetime == Timed
	answered := count["answer"] > 0
	switch {
	case count["ask"] > 1 || count["answer"] > 1 && !c.late || count["answer"] > 2 || rules > 1 || waits > 1:
		complain("doubled")
	case slices.Contains(said, "confirmed") && !answered:
		complain("a confirmed answer is lost")
	case slices.Contains(said, "released") && !answered:
		complain("released by an answer that is nowhere")
	case slices.Contains(said, "shown") && !answered && waits != 1:
		complain("a question that was shown is lost")
	case answered && waits != 0:
		complain("answered, and it waits")
	case lasts && (rules == 1) != answered:
		complain("the rule and its answer are not one")
	case lasts && answered && why != c.verdict.String(), !lasts && rules != 0:
		complain("not what was answered")
	case c.late && count["answer"] == 2 && why == "allow":
		complain("spent, and still there")
	case !answered && why != "ask":
		complain("decided without an answer")
	}
	if _, err := e.VerifyLog(t.Context()); err != nil {
		t.Errorf("step %d: %v", step, err)
	}
}

// askAnswerSaveRelease is the process that is killed.
func askAnswerSaveRelease(t *testing.T) {
	which, err := strconv.Atoi(os.Getenv(killCase))
	must(t, err)
	last, err := strconv.ParseInt(os.Getenv(killStep), 10, 64)
	must(t, err)
	var steps atomic.Int64
	step := func(string) {
		if steps.Add(1) == last {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Minute)
		}
	}
	say := func(word string) {
		fmt.Println(word)
		step(word)
	}
	c := killCases[which]
	e := openWith(t, Config{Dir: os.Getenv(killDir), step: step})
	ask := func(hold time.Duration) <-chan Decision {
		done := make(chan Decision, 1)
		go func() { done <- e.Decide(context.Background(), asking(target), Ask{Hold: hold}) }()
		return done
	}
	step("begin")
	hold := time.Minute
	if c.late {
		hold = time.Nanosecond
	}
	done := ask(hold)
	p := pendingPrompt(t, e, target)
	say("shown")
	if c.late {
		<-done
	}
	a := Answer{Request: p.ID, Nonce: p.Nonce, Verdict: c.verdict, Lifetime: c.lifetime, By: "cli"}
	if c.lifetime == Timed {
		a.For = time.Hour
	}
	must(t, e.Answer(t.Context(), a))
	say("confirmed")
	if c.late {
		done = ask(time.Minute)
	}
	if d := <-done; d.Verdict != c.verdict {
		t.Fatalf("got %+v", d)
	}
	say("released")
	must(t, e.Close())
	step("closed")
}
