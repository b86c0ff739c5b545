// Package longtest keeps tests that take minutes out of short runs.
package longtest

import (
	"flag"
	"os"
	"strings"
)

// Wanted says whether this is a long run: CONSENTRY_LONG is set.
func Wanted() bool { return os.Getenv("CONSENTRY_LONG") != "" }

// Only takes the tests of these names out of a run that is not long, as if they
// were not there: none passes, or skips, that did nothing. It is for TestMain,
// before the tests are run.
func Only(names ...string) error {
	if Wanted() {
		return nil
	}
	flag.Parse()
	const skip = "test.skip"
	pattern := "^(" + strings.Join(names, "|") + ")$"
	if more := flag.Lookup(skip).Value.String(); more != "" {
		pattern = more + "|" + pattern
	}
	return flag.Set(skip, pattern)
}
