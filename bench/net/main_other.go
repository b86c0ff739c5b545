//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this benchmark makes network namespaces: it needs Linux")
	os.Exit(1)
}
