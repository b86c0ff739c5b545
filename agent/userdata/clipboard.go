package userdata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/consentry/consentry/data"
)

// clipboardTime is how long the program that has the clipboard may take: it
// asks the one that has copied.
const clipboardTime = 5 * time.Second

// clipboard is the system's, read by a program of the system's.
type clipboard struct{ commands [][]string }

var errNoClipboard = errors.New("no program that reads the clipboard is here")

// Records has the text that is on the clipboard; none if it has no text, or
// nobody answers.
func (c clipboard) Records(ctx context.Context, _ Query) ([]data.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, clipboardTime)
	defer cancel()
	for _, line := range c.commands {
		program, err := exec.LookPath(line[0])
		if err != nil {
			continue
		}
		text, err := outputOf(exec.CommandContext(ctx, program, line[1:]...), data.MaxValue)
		var exit *exec.ExitError
		if errors.As(err, &exit) && ctx.Err() == nil {
			return nil, nil // the program is there, and says that there is nothing
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line[0], err)
		}
		return []data.Record{{Fields: map[string]any{"text": text}}}, nil
	}
	return nil, errNoClipboard
}

// outputOf runs a program and takes its output, if it is not more than most bytes.
func outputOf(cmd *exec.Cmd, most int64) (string, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return "", err
	}
	text, readErr := io.ReadAll(io.LimitReader(out, most+1))
	if int64(len(text)) > most {
		_ = cmd.Process.Kill()
		readErr = errTooMuch
	}
	if err := cmd.Wait(); readErr == nil {
		readErr = err
	}
	return string(bytes.ToValidUTF8(text, []byte("\uFFFD"))), readErr
}
