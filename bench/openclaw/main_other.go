//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "openclaw: sandboxes are compared on Linux only")
	os.Exit(1)
}
