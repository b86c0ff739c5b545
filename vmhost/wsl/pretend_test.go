package wsl_test

import (
	"archive/tar"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// The pretend wsl.exe and netsh: this test program, started under their names in
// a folder of its own. It notes what it was called with, and answers what it was
// told to, or what the real one does as far as this system can.

const callsFile = "calls"

// answer is what a call prints and ends with.
type answer struct {
	Out  string
	Wide bool // in UTF-16, as Windows has it
	Code int
}

// answers is a file of the pretend program's folder: by the first words of a
// call.
const answersFile = "answers.json"

func TestMain(m *testing.M) {
	if code, mine := role(os.Args); mine {
		os.Exit(code)
	}
	if self, err := os.Executable(); err == nil {
		if name := strings.TrimSuffix(filepath.Base(self), ".exe"); name == "wsl" || name == "netsh" {
			os.Exit(pretend(filepath.Dir(self), name, os.Args[1:]))
		}
	}
	var err error
	if programs, err = os.MkdirTemp("", "wsl-programs-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	//nolint:errcheck // a folder of tests
	os.RemoveAll(programs)
	os.Exit(code)
}

// programs is a folder for what tests build once.
var programs string

func pretend(dir, name string, args []string) int {
	if err := note(dir, name, args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if a, told := lookUp(dir, name, args); told {
		say(a)
		return a.Code
	}
	if name == "netsh" {
		return netsh(dir, args)
	}
	return wslExe(dir, args)
}

func note(dir, name string, args []string) error {
	f, err := os.OpenFile(filepath.Join(dir, callsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	line, err := json.Marshal(append([]string{name}, args...))
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	return errors.Join(err, f.Close())
}

func lookUp(dir, name string, args []string) (a answer, told bool) {
	raw, err := os.ReadFile(filepath.Join(dir, answersFile))
	if err != nil {
		return a, false
	}
	var all map[string]answer
	if err := json.Unmarshal(raw, &all); err != nil {
		return answer{Out: err.Error(), Code: 1}, true
	}
	call, longest := name+" "+strings.Join(args, " "), -1
	for words, one := range all {
		if strings.HasPrefix(call, words) && len(words) > longest {
			a, told, longest = one, true, len(words)
		}
	}
	return a, told
}

func say(a answer) {
	if !a.Wide {
		io.WriteString(os.Stdout, a.Out)
		return
	}
	var raw []byte
	for _, unit := range utf16.Encode([]rune(strings.ReplaceAll(a.Out, "\n", "\r\n"))) {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	os.Stdout.Write(raw)
}

// wslExe does what wsl.exe does with distros, which are folders here.
func wslExe(dir string, args []string) int {
	fail := func(text string) int {
		say(answer{Out: text + "\n", Wide: true})
		return 1
	}
	distro := func(name string) string { return filepath.Join(dir, "distros", name) }
	switch {
	case len(args) == 2 && args[0] == "--list":
		entries, err := os.ReadDir(filepath.Join(dir, "distros"))
		if err != nil || len(entries) == 0 {
			return fail("Windows Subsystem for Linux has no installed distributions.")
		}
		var names string
		for _, e := range entries {
			names += e.Name() + "\n"
		}
		say(answer{Out: names, Wide: true})
	case len(args) == 6 && args[0] == "--import":
		if !isDistro(args[3]) {
			return fail("The imported file is not a valid Linux distribution.\nError code: Wsl/Service/RegisterDistro/WSL_E_NOT_A_LINUX_DISTRO")
		}
		if err := unpack(args[3], distro(args[1])); err != nil {
			return fail(err.Error())
		}
		say(answer{Out: "The operation completed successfully. \n", Wide: true})
	case len(args) == 2 && args[0] == "--unregister":
		if err := removeDistro(distro(args[1])); err != nil {
			return fail(err.Error())
		}
	case len(args) > 7 && args[0] == "--distribution":
		if _, err := os.Stat(distro(args[1])); err != nil {
			return fail("There is no distribution with the supplied name.\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND")
		}
		return enter(dir, distro(args[1]), args[7:])
	default:
		return fail(fmt.Sprintf("Invalid command line argument: %q", args))
	}
	return 0
}

// isDistro is what WSL 2.5 looks for.
func isDistro(archive string) bool {
	f, err := os.Open(archive)
	if err != nil {
		return false
	}
	defer f.Close()
	has := map[string]bool{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return has["etc/"] && has["bin/sh"]
		}
		has[h.Name] = true
	}
}

// world is a folder with pretend programs.
type world struct {
	t   testing.TB
	dir string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t, tempDir(t)}
	self, err := os.Executable()
	must(t, err)
	for _, name := range []string{"wsl.exe", "netsh.exe"} {
		must(t, copyFile(self, filepath.Join(w.dir, name)))
	}
	return w
}

func copyFile(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o755)
}

func (w *world) program(name string) string { return filepath.Join(w.dir, name) }

func (w *world) answers(all map[string]answer) {
	w.t.Helper()
	raw, err := json.Marshal(all)
	must(w.t, err)
	must(w.t, os.WriteFile(filepath.Join(w.dir, answersFile), raw, 0o600))
}

// calls are all that were made, each as one line of words.
func (w *world) calls() []string {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, callsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(w.t, err)
	var all []string
	for line := range strings.Lines(string(raw)) {
		var words []string
		must(w.t, json.Unmarshal([]byte(line), &words))
		all = append(all, strings.Join(words, " "))
	}
	return all
}

func (w *world) forget() {
	w.t.Helper()
	must(w.t, os.Remove(filepath.Join(w.dir, callsFile)))
}

// called wants exactly one call that begins with these words.
func (w *world) called(words string) string {
	w.t.Helper()
	var found []string
	for _, call := range w.calls() {
		if strings.HasPrefix(call, words) {
			found = append(found, call)
		}
	}
	if len(found) != 1 {
		w.t.Errorf("%d calls %q among %q", len(found), words, w.calls())
		return ""
	}
	return found[0]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// netsh keeps the rules that it is told in a file, and shows them as netsh does.
func netsh(dir string, args []string) int {
	path := filepath.Join(dir, "rules")
	raw, _ := os.ReadFile(path)
	rules := strings.Split(strings.TrimSpace(string(raw)), "\n")
	rules = slices.DeleteFunc(rules, func(r string) bool { return r == "" })
	values := map[string]string{}
	for _, a := range args {
		if key, value, ok := strings.Cut(a, "="); ok {
			values[key] = value
		}
	}
	listen := values["listenaddress"] + " " + values["listenport"] + " "
	without := slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return strings.HasPrefix(r, listen) })
	switch strings.Join(args[:min(4, len(args))], " ") {
	case "interface portproxy show v4tov4":
		say(answer{Out: "\nListen on ipv4:             Connect to ipv4:\n\nAddress         Port        Address         Port\n--------------- ----------  --------------- ----------\n"})
		for _, r := range rules {
			f := strings.Fields(r)
			fmt.Printf("%-15s %-10s  %-15s %s\n", f[0], f[1], f[2], f[3])
		}
		say(answer{Out: "\n"})
		return 0
	case "interface portproxy add v4tov4":
		rules = append(without, listen+values["connectaddress"]+" "+values["connectport"])
	case "interface portproxy delete v4tov4":
		if len(without) == len(rules) {
			say(answer{Out: "The system cannot find the file specified.\n\n"})
			return 1
		}
		rules = without
	default:
		say(answer{Out: "The following command was not found.\n"})
		return 1
	}
	if err := os.WriteFile(path, []byte(strings.Join(rules, "\n")), 0o600); err != nil {
		return 1
	}
	return 0
}
