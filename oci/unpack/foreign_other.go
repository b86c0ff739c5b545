//go:build !linux && !windows

package unpack

func here() Naming { return APFS() }
