package cli

import (
	"bytes"
	"strings"
	"testing"
)

type fakeTerminal struct {
	*strings.Reader
	bytes.Buffer
}

func (f *fakeTerminal) Read(p []byte) (int, error)  { return f.Reader.Read(p) }
func (f *fakeTerminal) Write(p []byte) (int, error) { return f.Buffer.Write(p) }

func TestOnlyTheWordYesWaives(t *testing.T) {
	for typed, want := range map[string]bool{
		"yes\n": true, " yes \n": true, "": false, "\n": false, "y\n": false, "no\n": false, "yes": false, "YES\n": false,
		strings.Repeat(" ", 100) + "yes\n": false,
	} {
		tty := &fakeTerminal{Reader: strings.NewReader(typed)}
		if got := askWaiver(tty, "a wall is missing", "ebpf-lsm"); got != want {
			t.Errorf("%q: %v", typed, got)
		}
		if !strings.Contains(tty.String(), "a wall is missing") || !strings.Contains(tty.String(), "without ebpf-lsm") {
			t.Errorf("asked %q", tty.String())
		}
	}
}
