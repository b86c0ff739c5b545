// Command manual writes the manual pages and the completions of consentry out of
// its own table of commands: manual -version V -date YYYY-MM-DD DIR. Below DIR are
// man1/consentry*.1 and completions/{bash,zsh,fish}.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/cmd/consentry/internal/cli"
)

func main() {
	var of edition
	flag.StringVar(&of.version, "version", "dev", "in the foot of pages")
	flag.StringVar(&of.date, "date", "", "in the foot of pages, YYYY-MM-DD")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: manual [-version V] [-date D] DIR")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), cli.Commands(), of); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

func write(dir string, root *cobra.Command, of edition) error {
	files := map[string]func(io.Writer) error{
		"completions/bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"completions/zsh":  root.GenZshCompletion,
		"completions/fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}
	root.InitDefaultHelpFlag()
	each(root, func(cmd *cobra.Command) {
		files["man1/"+pageName(cmd)+".1"] = func(w io.Writer) error {
			_, err := io.WriteString(w, page(cmd, of))
			return err
		}
	})
	for name, make := range files {
		var text bytes.Buffer
		if err := make(&text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// each calls do with a command and all below it that are not hidden.
func each(cmd *cobra.Command, do func(*cobra.Command)) {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return
	}
	do(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, do)
	}
}
