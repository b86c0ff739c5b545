//go:build !linux

package guestinit

import "errors"

// Distro refuses: a distro is always Linux.
func Distro([]string) error {
	return errors.New("guestinit runs in a WSL distro, and is not started by hand")
}

// Main refuses: a guest is always Linux.
func Main() error { return errors.New("guestinit is the first process of a Linux guest") }
