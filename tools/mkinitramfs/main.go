// Command mkinitramfs packs the initramfs of a guest: consentry-guest, and the
// modules of a kernel that has some, in the order given.
//
//	mkinitramfs -o FILE PROGRAM [MODULE.ko …]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/consentry/consentry/kernel/initramfs"
)

func main() {
	out := flag.String("o", "", "file to write")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mkinitramfs:", err)
		os.Exit(1)
	}
}

func run(out string, args []string) error {
	if out == "" || len(args) == 0 {
		return errors.New("usage: mkinitramfs -o FILE PROGRAM [MODULE.ko …]")
	}
	f, err := os.OpenFile(out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) //nolint:gosec // QEMU reads it as a user of its own
	if err != nil {
		return err
	}
	return errors.Join(initramfs.Guest(args[0], args[1:]).Write(f), f.Close())
}
