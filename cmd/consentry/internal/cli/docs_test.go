package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	repository   = "../../../.."
	cliReference = repository + "/docs/cli.md"
)

// described cuts what stands behind a command of a document: a comment, or
// words in a column of their own.
var described = regexp.MustCompile(`\s+#.*|\s{3,}.*`)

// documented are the command lines of the indented blocks of a document.
func documented(t *testing.T, file string) (lines []string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		line, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !indented {
			continue
		}
		for part := range strings.SplitSeq(described.ReplaceAllString(line, ""), "; ") {
			if words, ours := strings.CutPrefix(strings.TrimPrefix(part, "$ "), "consentry "); ours {
				lines = append(lines, words)
			}
		}
	}
	return lines
}

// words splits a line as a shell does, as far as documents need it.
func words(line string) (list []string) {
	for _, word := range regexp.MustCompile(`'[^']*'|\$\([^)]*\)|\S+`).FindAllString(line, -1) {
		if strings.Contains("< > | &", word) {
			break
		}
		list = append(list, strings.Trim(word, "'"))
	}
	return list
}

// parse finds out whether a command line is one that we would take.
func parse(line string) error {
	c := &cli{Streams: Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}}
	cmd, args, err := c.root().Find(words(line))
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	if !cmd.Runnable() || cmd.Name() == "consentry" {
		return fmt.Errorf("no command: consentry %s", line)
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// Every command that a document shows is one that we take, down to its flags.
func TestCommandsOfTheDocuments(t *testing.T) {
	files, err := filepath.Glob(repository + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, repository+"/README.md") {
		for _, line := range documented(t, file) {
			seen++
			if err := parse(line); err != nil {
				t.Errorf("%s: consentry %s: %v", filepath.Base(file), line, err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d commands found: the documents are read wrongly", seen)
	}
	for _, wrong := range []string{"rum IMAGE", "run --no-such-flag IMAGE", "stop", "why APP"} {
		if parse(wrong) == nil {
			t.Errorf("consentry %s is taken", wrong)
		}
	}
}

// docs/cli.md is what the commands say of themselves; -update writes it.
func TestReferenceOfCommands(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Commands\n\nWritten by `go test ./cmd/consentry/internal/cli -run Reference -update`, from the commands themselves.\n")
	root := (&cli{}).root()
	for _, group := range root.Groups() {
		fmt.Fprintf(&page, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				describe(&page, cmd)
			}
		}
	}
	if *update {
		if err := os.WriteFile(cliReference, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(cliReference)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, page.Bytes()) {
		t.Error("docs/cli.md is not what the commands say: run with -update")
	}
}

// describe writes a command and those below it.
func describe(page *bytes.Buffer, cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() {
		return
	}
	fmt.Fprintf(page, "\n### %s\n\n%s.\n\n`%s`\n", cmd.CommandPath(), strings.TrimSuffix(cmd.Short, "."), cmd.UseLine())
	if cmd.Long != "" {
		fmt.Fprintf(page, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	if cmd.Example != "" {
		fmt.Fprintf(page, "\n%s\n", indent.ReplaceAllString(strings.TrimRight(cmd.Example, "\n"), "    $1"))
	}
	rows := false
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if !rows {
			page.WriteString("\n| flag | what it does |\n|---|---|\n")
			rows = true
		}
		name, usage := pflag.UnquoteUsage(f)
		flag := "--" + f.Name
		if f.Shorthand != "" {
			flag = "-" + f.Shorthand + ", " + flag
		}
		fmt.Fprintf(page, "| `%s` | %s |\n", strings.TrimSpace(flag+" "+name), strings.ReplaceAll(usage, "|", "\\|"))
	})
	for _, below := range cmd.Commands() {
		describe(page, below)
	}
}

var indent = regexp.MustCompile(`(?m)^ *(\S)`)
