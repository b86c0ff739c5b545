package autostart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The box tells the truth: what the file says, whoever wrote it.
func TestStartAtLogin(t *testing.T) {
	const program = `/opt/a b/$x"\%/consentry-tray`
	for name, make := range map[string]func(dir, program string) Entry{"xdg": xdgEntry, "launchd": launchAgent} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := make(dir, program)
			is := func(want bool, when string) {
				t.Helper()
				if on, err := e.On(); err != nil || on != want {
					t.Errorf("%s: %v %v", when, on, err)
				}
			}
			set := func(on bool) {
				t.Helper()
				if err := e.Set(on); err != nil {
					t.Fatal(err)
				}
			}
			is(false, "at first")
			set(false)
			set(true)
			is(true, "when it was set")
			if on, _ := make(dir, "/usr/bin/other").On(); on {
				t.Error("another program takes the entry for its own")
			}
			file := e.(*entryFile).path
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, off := range []string{"\nHidden=true\n", "\nX-GNOME-Autostart-enabled=false\n"} {
				if name == "xdg" {
					os.WriteFile(file, append(raw[:len(raw):len(raw)], off...), 0o600)
					is(false, off)
				}
			}
			os.WriteFile(file, []byte("[Desktop Entry]\nExec=\"/elsewhere\"\n"), 0o600)
			is(false, "when another wrote it")
			set(true)
			is(true, "when it was set again")
			set(false)
			is(false, "when it was taken away")
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	if got := execQuote(program); got != `"/opt/a b/\\$x\\"\\\\%%/consentry-tray"` {
		t.Errorf("Exec=%s", got)
	}
	if line := runLine(`C:\a b\consentry-tray.exe`); !strings.HasPrefix(line, `"C:\a b\`) {
		t.Error(line)
	}
}
