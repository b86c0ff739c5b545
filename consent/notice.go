package consent

import (
	"fmt"
	"strings"
)

// Notice is the prompt as a notification of the desktop: a title in our words,
// and a few lines. It is plain text; who shows it where markup is read escapes
// it. The whole of what a yes is about stands in the title.
func (p *Prompt) Notice() (title, body string) {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("for %s (%s)", p.AppName, p.Digest)
	if p.LooksLike != "" {
		add("Warning: %s", p.LooksLike)
	}
	if p.Reason == "" {
		add("The app gives no reason.")
	} else {
		add("The app says: “%s”", p.Reason)
	}
	add("If allowed: %s", p.Consequence)
	if p.Blast != "" {
		add("A yes makes possible: %s", p.Blast)
	}
	if p.Behind > 0 {
		add("More questions of this app that wait: %d", p.Behind)
	}
	return p.Title, strings.Join(lines, "\n")
}
