package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const diskSize = 8 << 30 // bytes, sparse

// disk is a new ext4 file system on a loop device.
type disk struct{ file, at string }

// newDisk makes its tables in full, so that no kernel thread does so while a
// contender is measured.
func newDisk(ctx context.Context, base string) (*disk, error) {
	d := &disk{file: base + ".img", at: base}
	if err := os.Mkdir(d.at, 0o700); err != nil {
		return nil, err
	}
	f, err := os.Create(d.file)
	if err != nil {
		return nil, errors.Join(err, os.Remove(d.at))
	}
	if err = errors.Join(f.Truncate(diskSize), f.Close()); err == nil {
		err = quietly(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.file)
	}
	if err == nil {
		err = quietly(ctx, "mount", "-o", "loop", d.file, d.at)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(d.file), os.Remove(d.at))
	}
	unix.Sync()
	return d, nil
}

// remove forgets the disk; the kernel need not write what is thrown away.
func (d *disk) remove() error {
	var err error
	for range 50 { // a daemon of a peer may be ending
		if err = unix.Unmount(d.at, 0); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(err, os.Remove(d.file), os.Remove(d.at))
}

// sync waits until the disk's file system is on the loop device's file.
func (d *disk) sync() error {
	f, err := os.Open(d.at)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// quietly runs a program that is not measured.
func quietly(ctx context.Context, args ...string) error {
	_, err := program(ctx, args...)
	return err
}

// program runs a program to its end and returns the most memory it had, KiB.
func program(ctx context.Context, args ...string) (rss int64, err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		rss = usage.Maxrss
	}
	return rss, nil
}
