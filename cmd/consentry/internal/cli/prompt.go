package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// deadTime is how long a new question takes no answer: what was meant for
// something else must not answer it.
const deadTime = time.Second

// byTerminal is how the ledger names answers given here.
const byTerminal = "terminal"

// asker is the questions of one session and what has been typed to the one
// that is on the screen. It does no input or output itself.
type asker struct {
	queue []api.Prompt
	open  bool // the first of queue is on the screen
	live  bool // it can be answered
	line  []byte
}

// add puts a question at the end; the same one again replaces itself. again
// says that it is on the screen with less than it asks for now, which its nonce
// tells: it must be shown anew.
func (a *asker) add(p api.Prompt) (again bool) {
	for i := range a.queue {
		if a.queue[i].ID == p.ID {
			again = i == 0 && a.open && a.queue[0].Nonce != p.Nonce
			a.queue[i] = p
			return again
		}
	}
	a.queue = append(a.queue, p)
	return false
}

// settle takes a question away that was answered or has expired; shown says
// that it was the one on the screen.
func (a *asker) settle(id string) (shown bool) {
	for i := range a.queue {
		if a.queue[i].ID != id {
			continue
		}
		shown = i == 0 && a.open
		a.queue = append(a.queue[:i], a.queue[i+1:]...)
		if shown {
			a.open, a.live, a.line = false, false, nil
		}
		return shown
	}
	return false
}

// show opens the first question; it becomes live by wake.
func (a *asker) show() api.Prompt {
	a.open, a.live, a.line = true, false, nil
	return a.queue[0]
}

// wake lets the question take answers, and returns what to print.
func (a *asker) wake() string {
	if !a.open {
		return ""
	}
	a.live = true
	return behind(a.queue[0].Behind) + askFor(choicesOf(a.queue[0]))
}

func behind(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "  1 more question of this app waits.\n"
	}
	return fmt.Sprintf("  %d more questions of this app wait.\n", n)
}

// current is the question on the screen.
func (a *asker) current() (api.Prompt, bool) {
	if !a.open {
		return api.Prompt{}, false
	}
	return a.queue[0], true
}

// typed takes what came from the keyboard and returns what to echo, and the
// choice that was made, or nil. Before the question is live everything is
// dropped, and so is every chunk with an escape in it: function keys, pasted
// text in brackets, and answers a terminal gives by itself.
func (a *asker) typed(keys []byte) (echo string, choice *api.Choice) {
	if !a.open || !a.live || strings.ContainsRune(string(keys), 0x1b) {
		return "", nil
	}
	choices := choicesOf(a.queue[0])
	for _, b := range keys {
		switch {
		case b == '\r' || b == '\n':
			n, err := strconv.Atoi(string(a.line))
			a.line = nil
			if err == nil && n >= 1 && n <= len(choices) {
				return echo + "\n", &choices[n-1]
			}
			echo += "\n" + askFor(choices)
		case b >= '0' && b <= '9' && len(a.line) < 3:
			a.line = append(a.line, b)
			echo += string(b)
		case (b == 0x7f || b == '\b') && len(a.line) > 0:
			a.line = a.line[:len(a.line)-1]
			echo += "\b \b"
		case b == 0x15: // Ctrl-U
			echo += strings.Repeat("\b \b", len(a.line))
			a.line = nil
		}
	}
	return echo, nil
}

// choicesOf are the agent's; a question without any can only be answered once.
func choicesOf(p api.Prompt) []api.Choice {
	if len(p.Choices) > 0 {
		return p.Choices
	}
	return []api.Choice{
		{Label: "Allow once", Verdict: "allow", Lifetime: "once"},
		{Label: "Deny once", Verdict: "deny", Lifetime: "once"},
	}
}

func askFor(choices []api.Choice) string {
	return fmt.Sprintf("Your answer, 1 to %d, then Enter: ", len(choices))
}

// answerOf turns a choice into the answer to its question.
func answerOf(p api.Prompt, c api.Choice, by string) api.AnswerRequest {
	return api.AnswerRequest{Nonce: p.Nonce, Verdict: c.Verdict, Lifetime: c.Lifetime, For: c.For, Target: c.Target, Everything: c.Everything, Shape: c.Shape, By: by}
}

// card is the question as it stands on the screen.
func card(p api.Prompt, s style) string {
	var b strings.Builder
	who := plain(p.App)
	if p.Digest != "" {
		who += " (" + plain(shortDigest(p.Digest)) + ")"
	}
	if p.RunName != "" {
		who += ", running as " + plain(p.RunName)
	}
	fmt.Fprintf(&b, "\n%s %s\n", s.yellow("● Consentry asks"), s.dim("— for "+who))
	fmt.Fprintf(&b, "  %s\n", s.bold(plain(p.Title)))
	if p.LooksLike != "" {
		fmt.Fprintf(&b, "  %s %s\n", s.red("Warning:"), plain(p.LooksLike))
	}
	if p.Count > 1 {
		fmt.Fprintf(&b, "  It stands for %d requests.\n", p.Count)
	}
	if p.Reason != "" {
		fmt.Fprintf(&b, "  The app says: “%s”\n", plain(p.Reason))
	} else {
		b.WriteString("  The app gives no reason.\n")
	}
	if p.Consequence != "" {
		fmt.Fprintf(&b, "  If allowed: %s\n", plain(p.Consequence))
	}
	if p.Blast != "" {
		fmt.Fprintf(&b, "  A yes makes possible: %s\n", plain(p.Blast))
	}
	for i, c := range choicesOf(p) {
		fmt.Fprintf(&b, "    %s  %s\n", s.bold(strconv.Itoa(i+1)), plain(c.Label))
	}
	return b.String()
}

// notice is the one line for where there is no terminal.
func notice(p api.Prompt) string {
	return fmt.Sprintf("asked: %s (%s); answer with: consentry allow %s, or: consentry deny %s", plain(p.Title), plain(p.App), plain(p.ID), plain(p.ID))
}
