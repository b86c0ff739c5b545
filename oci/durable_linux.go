package oci

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID names this run of the kernel; "" when it does not say.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// syncDisk writes out the file system that the store is on.
func syncDisk(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close())
}
