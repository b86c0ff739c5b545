//go:build linux && !amd64

package main

import (
	"fmt"

	"github.com/consentry/consentry/attack"
)

// i386 has nothing to try: this processor knows no i386 calls.
func (p *probe) i386() { fmt.Println(attack.None) }

func x32() string { return attack.None }
