package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

// The choices of a review as a whole, and of one line.
var (
	wholeChoices = []api.Choice{
		{Label: "Allow all of it", Verdict: "allow"},
		{Label: "Decide line by line", Verdict: byLine},
		{Label: "Allow nothing now, ask me when it comes up", Verdict: "ask"},
		{Label: "Deny all of it and start", Verdict: "deny"},
		{Label: "Do not start it", Verdict: "stop"},
	}
	lineChoices = []api.Choice{
		{Label: "Allow", Verdict: "allow"},
		{Label: "Deny", Verdict: "deny"},
		{Label: "Ask me when it comes up", Verdict: "ask"},
	}
)

const byLine = "lines"

// reviewer is a review on the terminal: first the whole, then, if the user
// wants it, each line. Its questions go through the asker like all others.
type reviewer struct {
	review api.Review
	chosen map[int]string // by line
}

// wholePrompt and linePrompt are the questions; their ids are ours, and none
// of a request's can begin like them.
const reviewPrefix = "review/"

func (r *reviewer) wholePrompt() api.Prompt {
	return api.Prompt{ID: reviewPrefix + r.review.ID, Title: r.review.App + " asks for rights", Choices: wholeChoices}
}

func (r *reviewer) linePrompt(l api.ReviewLine) api.Prompt {
	return api.Prompt{ID: fmt.Sprintf("%s%s/%d", reviewPrefix, r.review.ID, l.Number), Title: l.Title, Choices: lineChoices}
}

// line is the one a question is about, nil if it is about the whole.
func (r *reviewer) line(promptID string) *api.ReviewLine {
	for i, l := range r.review.Lines {
		if r.linePrompt(l).ID == promptID {
			return &r.review.Lines[i]
		}
	}
	return nil
}

// choose takes the choice to a question. more are the questions that follow;
// without any the review is answered.
func (r *reviewer) choose(promptID, verdict string) (more []api.Prompt, answer *api.ReviewAnswer) {
	answer = &api.ReviewAnswer{Nonce: r.review.Nonce, By: byTerminal}
	l := r.line(promptID)
	switch {
	case l == nil && verdict == byLine:
		for _, l := range r.review.Lines {
			more = append(more, r.linePrompt(l))
		}
		return more, nil
	case l == nil:
		answer.Verdict = verdict
		return nil, answer
	}
	r.chosen[l.Number] = verdict
	if len(r.chosen) < len(r.review.Lines) {
		return nil, nil
	}
	answer.Verdict, answer.Lines = "ask", r.chosen
	return nil, answer
}

// card is the question on the screen: the whole manifest, or one line of it.
func (r *reviewer) card(p api.Prompt, s style) string {
	var b strings.Builder
	if l := r.line(p.ID); l != nil {
		fmt.Fprintf(&b, "\n%s\n", s.dim(fmt.Sprintf("Line %d of %d, %s", l.Number, len(r.review.Lines), plain(r.review.App))))
		writeLine(&b, *l, s)
	} else {
		writeReview(&b, r.review, s)
	}
	b.WriteString("\n")
	for i, c := range choicesOf(p) {
		fmt.Fprintf(&b, "    %s  %s\n", s.bold(strconv.Itoa(i+1)), plain(c.Label))
	}
	return b.String()
}

// writeReview shows a review with all its lines.
func writeReview(b *strings.Builder, r api.Review, s style) {
	fmt.Fprintf(b, "\n%s %s\n", s.yellow("● Consentry asks"), s.dim("— before the app starts"))
	fmt.Fprintf(b, "  %s %s\n", s.bold(plain(r.App)), s.dim("("+plain(shortDigest(r.Digest))+")"))
	if r.SaysName != "" {
		fmt.Fprintf(b, "  It calls itself “%s”.\n", plain(r.SaysName))
	}
	if r.Publisher != "" {
		fmt.Fprintf(b, "  From %s, %s. Your answer holds for updates from there too.\n", plain(voucher(r.Publisher)), s.green("verified"))
	} else {
		fmt.Fprintf(b, "  %s vouches for it: your answer holds for exactly this file.\n", s.yellow("Nobody"))
	}
	if r.Replaces != nil {
		writeReplaced(b, *r.Replaces, s)
	}
	b.WriteString("\n")
	if r.Update {
		fmt.Fprintf(b, "  This version wants %s that the last one did not; %s as you answered.\n", more(len(r.Lines)), stays(r.Kept))
	} else {
		fmt.Fprintf(b, "  Before it starts, it asks for %s:\n", plural(len(r.Lines), "right"))
	}
	for _, l := range r.Lines {
		b.WriteString("\n")
		writeLine(b, l, s)
	}
	if r.OwnExec {
		b.WriteString("\n  It runs no program but those of its image; where eBPF LSM stands, others are refused.\n")
	}
	for _, p := range r.Ports {
		fmt.Fprintf(b, "\n  It serves port %d%s; -p %d opens it to you.\n", p.Port, label(p.Label), p.Port)
	}
}

func writeLine(b *strings.Builder, l api.ReviewLine, s style) {
	fmt.Fprintf(b, "  %2d. %s\n", l.Number, s.bold(plain(l.Title)))
	fmt.Fprintf(b, "      The app says: “%s”\n", plain(l.Reason))
	if l.Without != "" {
		fmt.Fprintf(b, "      Without it, it says: “%s”\n", plain(l.Without))
	}
	switch l.Change {
	case "wider":
		fmt.Fprintf(b, "      %s it was %s before.\n", s.yellow("Wider:"), plain(l.Was))
	case "purpose":
		fmt.Fprintf(b, "      %s before, it said “%s”\n", s.yellow("Another reason:"), plain(l.Was))
	}
	if l.Rule != "" {
		fmt.Fprintf(b, "      %s\n", s.dim("A rule of yours says "+l.Rule+" already."))
	}
}

func writeReplaced(b *strings.Builder, r api.ReplacedApp, s style) {
	fmt.Fprintf(b, "  %s you ran another app of this name (%s). What that one had does not hold here:\n",
		s.yellow("Not the same:"), plain(shortDigest(r.AppID)))
	for _, g := range r.Grants {
		fmt.Fprintf(b, "      %s %s %s\n", plain(g.Verdict), plain(g.Kind), plain(g.Target))
	}
}

func label(text string) string {
	if text == "" {
		return ""
	}
	return " (“" + plain(text) + "”)"
}

func more(n int) string {
	if n == 1 {
		return "one thing"
	}
	return strconv.Itoa(n) + " things"
}

func stays(n int) string {
	if n == 1 {
		return "one line stays"
	}
	return strconv.Itoa(n) + " lines stay"
}
