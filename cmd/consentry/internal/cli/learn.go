package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// printLearned prints the smallest manifest for what a run asked for, or
// writes it to a file. What it says beside goes to stderr.
func (c *cli) printLearned(ctx context.Context, cl *client.Client, run api.Run, f runFlags) error {
	if run.ID == "" {
		return nil // it did not start, and the error is told already
	}
	l, err := cl.Learned(ctx, run.ID)
	var fault *api.Error
	if errors.As(err, &fault) && fault.Code == "not-found" { // removed, and nothing was asked for
		l.Manifest, err = json.RawMessage(`{"version":1,"rights":[]}`), nil
	}
	if err != nil {
		return err
	}
	if f.json && f.learnOut == "" {
		return printLine(c.Out, event{Event: "learned", Learned: &l})
	}
	var text bytes.Buffer
	if err := json.Indent(&text, l.Manifest, "", "  "); err != nil {
		return fmt.Errorf("manifest of the agent: %w", err)
	}
	text.WriteByte('\n')
	fmt.Fprintf(c.Err, "%s\n", c.err.dim("consentry: "+lesson(l)))
	if f.learnOut != "" {
		return os.WriteFile(f.learnOut, text.Bytes(), 0o644) //nolint:gosec // for others to read
	}
	_, err = c.Out.WriteString(plainLines(text.String()))
	return err
}

// lesson is what was learned, in a sentence.
func lesson(l api.Learned) string {
	denied := 0
	for _, w := range l.Wishes {
		if !w.Allowed {
			denied++
		}
	}
	if len(l.Wishes) == 0 {
		return "the app asked for nothing"
	}
	return fmt.Sprintf("the app asked for %s, %d of them denied; this is the manifest for all of them, its reasons are yours to write",
		plural(len(l.Wishes), "thing"), denied)
}
