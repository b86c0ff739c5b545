package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64

// waived asks at the terminal whether an app may run without the walls that err
// says are missing. No terminal, --no-input, or anything but a yes is a no.
func (c *cli) waived(err error, f runFlags) []string {
	var refusal *api.Error
	if !errors.As(err, &refusal) || refusal.Code != api.CodeWall || len(refusal.Waive) == 0 {
		return nil
	}
	if f.noInput || f.json || f.answer != "" {
		return nil
	}
	open := c.OpenTerminal
	if open == nil {
		open = openTerminal
	}
	tty, openErr := open()
	if openErr != nil {
		return nil
	}
	defer tty.Close()
	if !askWaiver(tty, plainLines(refusal.Message), plain(strings.Join(refusal.Waive, ", "))) {
		return nil
	}
	return refusal.Waive
}

// askWaiver puts the question. There is no default.
func askWaiver(tty io.ReadWriter, message, walls string) bool {
	fmt.Fprintf(tty, "%s\n\nThe other walls stand. Run this app without %s, now and later? Type yes or no: ", message, walls)
	line, err := bufio.NewReader(io.LimitReader(tty, maxAnswer)).ReadString('\n')
	return err == nil && strings.TrimSpace(line) == "yes"
}
