package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// testID names a test; an empty test means the package itself.
type testID struct{ pkg, test string }

type skipped struct {
	testID
	reason string
}

type packageResult struct {
	passed, failed, skipped int
	broken                  bool // the package failed itself: build, panic, timeout
	seconds                 float64
}

// summary collects events. Output is kept only until its test has ended well.
type summary struct {
	out      io.Writer
	output   map[testID][]string
	parents  map[testID]bool // tests that have subtests: counted by those
	ended    map[testID]string
	builds   map[string][]string // compiler output by import path
	packages map[string]*packageResult
	order    []string
	skips    []skipped
}

func newSummary(out io.Writer) *summary {
	return &summary{
		out:      out,
		output:   map[testID][]string{},
		parents:  map[testID]bool{},
		ended:    map[testID]string{},
		builds:   map[string][]string{},
		packages: map[string]*packageResult{},
	}
}

// read takes all events. A line that is none (a linker warning, say) is printed.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(s.out, line)
		return
	}
	s.take(e)
}

func (s *summary) take(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		s.builds[e.ImportPath] = append(s.builds[e.ImportPath], e.Output)
	case "run":
		s.markParents(id)
	case "output":
		s.output[id] = append(s.output[id], e.Output)
	case "pass", "fail", "skip":
		s.end(id, e)
	}
}

func (s *summary) markParents(id testID) {
	for i := range id.test {
		if id.test[i] == '/' {
			s.parents[testID{id.pkg, id.test[:i]}] = true
		}
	}
}

func (s *summary) pkg(name string) *packageResult {
	if s.packages[name] == nil {
		s.packages[name] = &packageResult{}
		s.order = append(s.order, name)
	}
	return s.packages[name]
}

func (s *summary) end(id testID, e event) {
	if id.test == "" {
		s.endPackage(id, e)
		return
	}
	s.ended[id] = e.Action
	p := s.pkg(id.pkg)
	// A parent says what its subtests said, unless it failed or skipped on its own.
	own := !s.parents[id] || (e.Action == "fail" && !s.subtestFailed(id)) || (e.Action == "skip")
	if !own {
		if e.Action == "fail" {
			s.printFailure(id, e)
		}
		delete(s.output, id)
		return
	}
	switch e.Action {
	case "pass":
		p.passed++
	case "skip":
		p.skipped++
		s.skips = append(s.skips, skipped{id, reason(s.output[id])})
	case "fail":
		p.failed++
		s.printFailure(id, e)
	}
	delete(s.output, id)
}

func (s *summary) subtestFailed(id testID) bool {
	for other, action := range s.ended {
		if action == "fail" && other.pkg == id.pkg && strings.HasPrefix(other.test, id.test+"/") {
			return true
		}
	}
	return false
}

// endPackage counts a package that failed without any test of it failing
// (it did not build, it panicked, it ran out of time) as one failure.
func (s *summary) endPackage(id testID, e event) {
	if e.Action == "skip" { // no test files
		return
	}
	p := s.pkg(id.pkg)
	p.seconds = e.Elapsed
	if e.Action == "fail" && p.failed == 0 {
		p.failed++
		p.broken = true
		for _, line := range s.builds[e.FailedBuild] {
			fmt.Fprint(s.out, line)
		}
		s.printFailure(id, e)
		s.printUnended(id.pkg, e)
	}
	s.forget(id.pkg)
}

// printUnended shows what the tests said that were running when the package died.
func (s *summary) printUnended(pkg string, e event) {
	for id := range s.output {
		if id.pkg == pkg && id.test != "" {
			s.printFailure(id, e)
		}
	}
}

func (s *summary) forget(pkg string) {
	for id := range s.output {
		if id.pkg == pkg {
			delete(s.output, id)
		}
	}
}

func (s *summary) printFailure(id testID, e event) {
	name := id.pkg
	if id.test != "" {
		name += " " + id.test
	}
	fmt.Fprintf(s.out, "=== FAIL %s (%.1f s)\n", name, e.Elapsed)
	for _, line := range s.output[id] {
		fmt.Fprint(s.out, line)
	}
}

// reason is what the test said last before it skipped.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ") {
			continue
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return said[len(said)-1]
}

// report prints the summary; the error says why the whole is not good.
func (s *summary) report(limit int) error {
	var total packageResult
	var silent int
	fmt.Fprintln(s.out)
	for _, name := range s.order {
		p := s.packages[name]
		total.passed += p.passed
		total.failed += p.failed
		total.skipped += p.skipped
		fmt.Fprintln(s.out, p.text(name))
	}
	s.printSkips()
	for _, skip := range s.skips {
		if skip.reason == "no reason given" {
			silent++
		}
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	switch {
	case len(s.order) == 0:
		return errors.New("no test was seen")
	case total.failed > 0:
		return fmt.Errorf("%d failed", total.failed)
	case silent > 0:
		return fmt.Errorf("%d skipped without a reason", silent)
	case limit != noLimit && total.skipped > limit:
		return fmt.Errorf("%d skipped, more than the %d allowed", total.skipped, limit)
	}
	return nil
}

func (p *packageResult) text(name string) string {
	word := "ok  "
	if p.failed > 0 {
		word = "FAIL"
	}
	line := fmt.Sprintf("%s %6.1fs  %4d passed", word, p.seconds, p.passed)
	if p.failed > 0 {
		line += fmt.Sprintf(", %d failed", p.failed)
	}
	if p.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", p.skipped)
	}
	if p.broken {
		line += " (the package itself)"
	}
	return line + "  " + name
}

func (s *summary) printSkips() {
	if len(s.skips) == 0 {
		return
	}
	fmt.Fprintln(s.out, "\nskipped:")
	slices.SortFunc(s.skips, func(a, b skipped) int {
		return strings.Compare(a.pkg+" "+a.test, b.pkg+" "+b.test)
	})
	for _, skip := range s.skips {
		fmt.Fprintf(s.out, "  %s %s\n    %s\n", skip.pkg, skip.test, skip.reason)
	}
	fmt.Fprintln(s.out)
}
