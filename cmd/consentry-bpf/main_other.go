//go:build !linux

// Command consentry-bpf is for Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "consentry-bpf loads eBPF programs of Linux; on this system apps run in a microVM")
	os.Exit(2)
}
