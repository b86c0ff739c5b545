//go:build !linux

package oci

import "os"

// No layer is unpacked on other systems.
func bootID() string { return "" }

func syncDisk(*os.Root) error { return nil }
