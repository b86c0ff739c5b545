//go:build !linux

package guestinit

import "errors"

// Main refuses: a guest is always Linux.
func Main() error { return errors.New("guestinit is the first process of a Linux guest") }
