// Command testsum reads the events of `go test -json` and prints what a person
// wants to know: every failure in full, a line for each package, every skipped
// test with its reason, and the three numbers on the last line.
//
//	go test -json ./... | testsum -max-skips FILE
//
// It fails when a test or a package failed, when no package was seen at all,
// and when more tests skipped than the number in FILE says: a skip is a test
// that proves nothing, so a new one has to be put down on purpose.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	limitFile := flag.String("max-skips", "", "file with the number of tests that may skip")
	flag.Parse()
	if err := run(*limitFile); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
}

func run(limitFile string) error {
	limit, err := readLimit(limitFile)
	if err != nil {
		return err
	}
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		return err
	}
	return s.report(limit)
}

// noLimit lets any number of tests skip.
const noLimit = -1

func readLimit(path string) (int, error) {
	if path == "" {
		return noLimit, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: want one number, have %q", path, text)
	}
	return n, nil
}
