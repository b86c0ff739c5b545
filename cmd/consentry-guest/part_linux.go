package main

import "github.com/consentry/consentry/linuxhost"

// part runs one of the processes that linuxhost starts of this program.
func part(args []string) (code int, mine bool) {
	if len(args) < 2 { //nolint:mnd // the program and the part
		return 0, false
	}
	return linuxhost.Main(args[1], args[2:])
}
