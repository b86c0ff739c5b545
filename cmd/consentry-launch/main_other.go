//go:build !linux

// Command consentry-launch is for Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "consentry-launch starts sandboxes of Linux; on this system apps run in a microVM")
	os.Exit(2)
}
