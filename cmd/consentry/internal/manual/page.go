package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// edition is what stands in the foot of a page.
type edition struct{ version, date string }

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page is the manual page of one command, in the macros of man(7).
func page(cmd *cobra.Command, of edition) string {
	var p roff
	// Not escaped: mandoc reads the date.
	fmt.Fprintf(&p, ".TH \"%s\" \"1\" \"%s\" \"Consentry %s\" \"Consentry\"\n", strings.ToUpper(pageName(cmd)), of.date, of.version)
	p.macro("SH", "NAME")
	p.line(pageName(cmd) + " - " + cmd.Short)
	p.macro("SH", "SYNOPSIS")
	p.macro("B", cmd.CommandPath())
	if rest := strings.TrimSpace(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())); rest != "" {
		p.line(rest)
	}
	if cmd.Long != "" {
		p.macro("SH", "DESCRIPTION")
		p.prose(cmd.Long)
	}
	p.commands(cmd)
	p.options(cmd)
	if cmd.Example != "" {
		p.macro("SH", "EXAMPLES")
		p.verbatim(strings.Split(strings.Trim(cmd.Example, "\n"), "\n"))
	}
	if cmd.HasParent() {
		p.macro("SH", "SEE ALSO")
		p.macro("BR", pageName(cmd.Parent()), "(1)")
	}
	return p.String()
}

func (p *roff) commands(cmd *cobra.Command) {
	var below []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			below = append(below, sub)
		}
	}
	if len(below) == 0 {
		return
	}
	p.macro("SH", "COMMANDS")
	for _, sub := range below {
		p.macro("TP")
		p.macro("BR", pageName(sub), "(1)")
		p.line(sub.Short)
	}
}

func (p *roff) options(cmd *cobra.Command) {
	if !cmd.HasAvailableLocalFlags() {
		return
	}
	p.macro("SH", "OPTIONS")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		p.macro("TP")
		p.macro("B", strings.TrimSpace(names+" "+value))
		if zero := f.DefValue == "" || f.DefValue == "false" || f.DefValue == "0" || f.DefValue == "[]" || f.DefValue == "0s"; !zero {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		p.line(usage)
	})
}

// roff is a page that is being written.
type roff struct{ strings.Builder }

// macro is a line of the language: arguments in quotes.
func (p *roff) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, arg := range args {
		p.WriteString(` "` + strings.ReplaceAll(escape(arg), `"`, `\(dq`) + `"`)
	}
	p.WriteString("\n")
}

// line is text, never a macro.
func (p *roff) line(text string) {
	text = escape(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	p.WriteString(text + "\n")
}

// prose has paragraphs between empty lines; lines that are indented stand as
// they are.
func (p *roff) prose(text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			p.macro("PP")
		}
		lines := strings.Split(paragraph, "\n")
		for len(lines) > 0 {
			n := 0
			for n < len(lines) && strings.HasPrefix(lines[n], " ") {
				n++
			}
			if n > 0 {
				p.verbatim(lines[:n])
				lines = lines[n:]
				continue
			}
			p.line(lines[0])
			lines = lines[1:]
		}
	}
}

func (p *roff) verbatim(lines []string) {
	p.macro("nf")
	for _, line := range lines {
		p.line(line)
	}
	p.macro("fi")
}

// escape: a hyphen is a minus, which can be copied to a shell, and a backslash
// is one.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "‘", `\(oq`, "’", `\(cq`, "“", `\(lq`, "”", `\(rq`, "…", "...", "–", `\(en`).Replace(text)
}
