package vmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Test runs the tests of a package in the guest and makes each of them a
// subtest of t, which passes, fails or skips as it did there. pattern is as
// for `go test -run`; "" is all. Binary and Args of c are set here.
func Test(t *testing.T, pkg, pattern string, c Config) {
	t.Helper()
	need(t, c.Kernel)
	c.Binary = BuildTest(t, pkg)
	c.Args = append([]string{"-test.v=test2json", "-test.run=" + pattern}, c.Args...)
	result := Run(t, c)
	tests, err := parse(t.Context(), result.Output)
	if err != nil {
		t.Fatalf("%v\n%s", err, result.Output)
	}
	if len(tests) == 0 {
		t.Fatalf("no test ran in the guest (exit status %d)\n%s", result.Exit, result.Output)
	}
	failed := false
	for _, test := range tests {
		failed = failed || test.action != "pass" && test.action != "skip"
		t.Run(test.name, test.mirror)
	}
	if result.Exit != 0 && !failed {
		t.Errorf("exit status %d though no test failed\n%s", result.Exit, result.Output)
	}
}

// outcome is one test of the guest that has no subtests.
type outcome struct {
	name   string
	action string // "pass", "fail", "skip"; "" when it did not end
	output []string
}

func (o outcome) mirror(t *testing.T) {
	text := strings.TrimSpace(strings.Join(o.output, ""))
	switch o.action {
	case "pass":
		t.Log(text)
	case "skip":
		t.Skip("in the guest: " + text)
	case "fail":
		t.Error(text)
	default:
		t.Errorf("did not end\n%s", text)
	}
}

// parse reads the output of a test binary run with -test.v=test2json.
func parse(ctx context.Context, output string) ([]outcome, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json")
	cmd.Stdin = strings.NewReader(output)
	events, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("test2json: %w", err)
	}
	var tests []*outcome
	byName := map[string]*outcome{}
	for dec := json.NewDecoder(bytes.NewReader(events)); ; {
		var e struct{ Action, Test, Output string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return leaves(tests), nil
		} else if err != nil {
			return nil, fmt.Errorf("test2json: %w", err)
		}
		if e.Test == "" {
			continue
		}
		test := byName[e.Test]
		if test == nil {
			test = &outcome{name: e.Test}
			byName[e.Test] = test
			tests = append(tests, test)
		}
		test.take(e.Action, e.Output)
	}
}

func (o *outcome) take(action, output string) {
	switch action {
	case "pass", "fail", "skip":
		o.action = action
	case "output":
		if text := strings.TrimSpace(output); !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- ") {
			o.output = append(o.output, output)
		}
	}
}

// leaves drops tests that only stand for their subtests.
func leaves(tests []*outcome) []outcome {
	var kept []outcome
	for _, test := range tests {
		below := func(other *outcome) bool { return strings.HasPrefix(other.name, test.name+"/") }
		failedBelow := func(other *outcome) bool { return below(other) && other.action != "pass" && other.action != "skip" }
		if !slices.ContainsFunc(tests, below) || test.action != "pass" && !slices.ContainsFunc(tests, failedBelow) {
			kept = append(kept, *test)
		}
	}
	return kept
}
