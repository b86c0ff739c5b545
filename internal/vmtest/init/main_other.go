//go:build !linux

// Command init is the first process of a vmtest guest, which is always Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "init of a vmtest guest: runs on Linux only")
	os.Exit(2)
}
