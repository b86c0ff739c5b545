// Command darwincheck type-checks Go packages for macOS on a machine that has
// neither a C compiler for it nor Apple's SDK, files that import "C" included.
//
//	darwincheck [-goarch arm64] [-tests] PACKAGE ...
//
// It asks `go list -deps` (which compiles nothing) for the files and checks
// them from source. Every Go name is checked for real, names of C are taken on
// trust: a wrong C.name is found only on a Mac.
//
// Status: 0 clean, 1 faults in the named packages, 2 could not check.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	arch := flag.String("goarch", "arm64", "arm64 or amd64")
	tests := flag.Bool("tests", false, "check test files too")
	flag.Parse()
	result, err := check(target{dir: ".", arch: *arch, tests: *tests}, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "darwincheck:", err)
		os.Exit(2)
	}
	for _, fault := range result.faults {
		fmt.Fprintln(os.Stderr, fault)
	}
	if len(result.faults) > 0 {
		os.Exit(1)
	}
	fmt.Printf("type-checks for darwin/%s: %d packages\n", *arch, result.packages)
}
