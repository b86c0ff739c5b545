// Package autostart has a program start with the user's session: an XDG autostart
// entry, a value of the Run key, or a launchd agent, each read back from where
// the system reads it.
package autostart

import (
	"errors"
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/consentry/consentry/internal/atomicfile"
)

// Entry is whether a program starts with the user's session. What On says
// was read from where the system reads it, whoever wrote it there.
type Entry interface {
	On() (bool, error)
	Set(on bool) error
}

// entryFile is an Entry that is a file of the system's form. It is on if
// the file would start this very program.
type entryFile struct {
	path, text string
	starts     func(text string) bool
}

func (e *entryFile) On() (bool, error) {
	raw, err := os.ReadFile(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && e.starts(string(raw)), err
}

func (e *entryFile) Set(on bool) error {
	if !on {
		err := os.Remove(e.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := os.MkdirAll(filepath.Dir(e.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(e.path, []byte(e.text), 0o600)
}

// xdgEntry is an entry of the autostart specification
// (https://specifications.freedesktop.org/autostart-spec) in the user's
// configuration folder.
func xdgEntry(config, program string) Entry {
	exec := "Exec=" + execQuote(program)
	return &entryFile{
		path: filepath.Join(config, "autostart", "consentry-tray.desktop"),
		text: "[Desktop Entry]\nType=Application\nName=Consentry\nComment=Asks before apps get out\n" + exec + "\nTerminal=false\n",
		starts: func(text string) bool {
			found := false
			for line := range strings.Lines(text) {
				switch strings.TrimSpace(line) {
				case exec:
					found = true
				case "Hidden=true", "X-GNOME-Autostart-enabled=false":
					return false
				}
			}
			return found
		},
	}
}

// execQuote writes a path as an argument of Exec: in quotes, with what is
// special in them escaped, once for Exec and once for strings, and without
// field codes (Desktop Entry specification, "The Exec key").
func execQuote(path string) string {
	quoted := strings.NewReplacer("\\", "\\\\\\\\", "\"", "\\\\\"", "`", "\\\\`", "$", "\\\\$", "%", "%%").Replace(path)
	return `"` + quoted + `"`
}

// launchAgent is a property list in the folder of the user's launchd agents. It
// counts from the next login on. A user who has disabled it with launchctl is
// not seen.
func launchAgent(home, program string) Entry {
	argument := "<string>" + html.EscapeString(program) + "</string>"
	return &entryFile{
		path: filepath.Join(home, "Library", "LaunchAgents", "dev.consentry.tray.plist"),
		text: `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Label</key><string>dev.consentry.tray</string>
<key>ProgramArguments</key><array>` + argument + `</array>
<key>RunAtLoad</key><true/>
<key>ProcessType</key><string>Interactive</string>
</dict></plist>
`,
		starts: func(text string) bool {
			return strings.Contains(text, argument) && strings.Contains(text, "<key>RunAtLoad</key><true/>")
		},
	}
}

// runLine is the value of a Run key of the registry.
func runLine(program string) string { return `"` + program + `"` }
