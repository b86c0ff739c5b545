//go:build !linux

// Program probe runs inside a sandbox, which is always Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "probe: runs inside a sandbox, which is Linux")
	os.Exit(1)
}
