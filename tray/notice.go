package tray

import (
	"fmt"
	"html"

	"github.com/consentry/consentry/agent/api"
)

// Notice is one notification.
type Notice struct {
	Title   string // our words; shown as plain text
	Body    string // plain text, the app's words in quotes
	Buttons []Button
	// Otherwise is added to the body where there are no buttons.
	Otherwise string
}

// Button is one way to answer.
type Button struct{ Key, Label string }

// The keys of buttons.
const (
	keyAllow   = "allow"
	keyDeny    = "deny"
	keyDetails = "details"
)

// NoticeOf is the notification of a question.
func NoticeOf(p api.Prompt) Notice {
	n := Notice{Title: clip(p.Notice.Title), Body: p.Notice.Body, Otherwise: unanswerable(p)}
	if allow, ok := once(p, "allow"); ok && fits(p) {
		n.Buttons = append(n.Buttons, Button{keyAllow, allow.Label})
	}
	if deny, ok := once(p, "deny"); ok {
		n.Buttons = append(n.Buttons, Button{keyDeny, deny.Label})
	}
	n.Buttons = append(n.Buttons, Button{keyDetails, "Details…"})
	return n
}

// once is the prompt's choice with a verdict for once.
func once(p api.Prompt, verdict string) (api.Choice, bool) {
	for _, c := range p.Choices {
		if c.Verdict == verdict && c.Lifetime == "once" {
			return c, true
		}
	}
	return api.Choice{}, false
}

// shown is a notification on the screen.
type shown struct {
	prompt api.Prompt
	notice Notice
	id     uint32
	closed bool // by the user, or by time: it is not shown again
}

// plan says which notifications have to come and go. By prompt id.
type plan struct {
	show     []api.Prompt
	withdraw []string
}

// planOf compares what is on the screen with what waits. A question that has
// changed (more targets joined it, it has another nonce) is shown anew.
func planOf(now map[string]*shown, prompts []api.Prompt) plan {
	var p plan
	waits := map[string]bool{}
	for _, prompt := range prompts {
		if !prompt.Live || prompt.Queued {
			continue
		}
		waits[prompt.ID] = true
		if s := now[prompt.ID]; s == nil || s.prompt.Nonce != prompt.Nonce || s.prompt.Title != prompt.Title {
			p.show = append(p.show, prompt)
		}
	}
	for id := range now {
		if !waits[id] {
			p.withdraw = append(p.withdraw, id)
		}
	}
	return p
}

// actionOf is what a press of a button asks for.
func (s *shown) actionOf(key string) Action {
	switch key {
	case keyAllow, keyDeny:
		if c, ok := once(s.prompt, key); ok {
			return Action{Verb: Answer, Prompt: s.prompt, Choice: c}
		}
	case keyDetails:
		return details(s.prompt)
	}
	return Action{}
}

// markup escapes text for servers that read some HTML in the body
// (https://specifications.freedesktop.org/notification-spec, "Markup").
func markup(text string) string { return html.EscapeString(text) }

// unanswerable is what a body says where a server has no buttons.
func unanswerable(p api.Prompt) string {
	return fmt.Sprintf("\nAnswer in the tray, or with: consentry allow %s, or deny", p.ID)
}
