// Command init is the first process of a vmtest guest: it makes the place a
// test expects (mounts, modules, loopback), runs the job, says how it ended
// and powers off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/consentry/consentry/internal/vmtest/guestjob"
	"golang.org/x/sys/unix"
)

// newRoot is where the second root is put together. The first, the initramfs,
// cannot be left by pivot_root, which is what sandboxes do.
const newRoot = "/newroot"

// movedFlag tells the second start of init that it stands in the new root.
const movedFlag = "moved"

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init of a vmtest guest: runs as process 1 only")
		os.Exit(2)
	}
	var err error
	if len(os.Args) < 2 || os.Args[1] != movedFlag {
		err = moveRoot()
	} else {
		err = work()
	}
	// Reached after the job, or because something is broken; the console is
	// shown when no exit status came.
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest init:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "vmtest init: power off:", err)
	}
	select {}
}

// moveRoot copies the initramfs to a tmpfs, makes that the root and starts over.
func moveRoot() error {
	if err := mount(mountPoint{"tmpfs", newRoot, "tmpfs", 0, "mode=755,size=90%"}); err != nil {
		return err
	}
	if err := moveTree("/", newRoot); err != nil {
		return err
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the new root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return fmt.Errorf("exec: %w", unix.Exec("/init", []string{"/init", movedFlag}, os.Environ()))
}

// moveTree moves the regular files and folders of the initramfs; the kernel
// makes the devices anew.
func moveTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == from:
			return nil
		case path == to, path == "/dev", path == "/proc", path == "/sys":
			return filepath.SkipDir
		case entry.IsDir():
			return os.Mkdir(to+path, 0o755)
		case entry.Type().IsRegular():
			return moveFile(path, to+path)
		}
		return nil
	})
}

func moveFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(err, target.Close())
	}
	if err := target.Close(); err != nil {
		return err
	}
	return os.Remove(from) // give the memory back
}

func work() error {
	for _, point := range mounts {
		if err := mount(point); err != nil && !point.optional() {
			return err
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	job, err := readJob()
	if err != nil {
		return err
	}
	if job.Disk != "" {
		if err := mount(mountPoint{job.Disk, "/tmp", "ext4", 0, ""}); err != nil {
			return err
		}
		if err := os.Chmod("/tmp", 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	return report(run(job))
}

func readJob() (guestjob.Job, error) {
	var job guestjob.Job
	text, err := os.ReadFile(guestjob.Path)
	if err != nil {
		return job, err
	}
	if err := json.Unmarshal(text, &job); err != nil {
		return job, fmt.Errorf("%s: %w", guestjob.Path, err)
	}
	return job, nil
}

// run returns the job's exit status; 128+n after signal n.
func run(job guestjob.Job) (int, error) {
	output, err := openSerial(guestjob.Output)
	if err != nil {
		return 0, err
	}
	defer output.Close()
	cmd := exec.Command(guestjob.Binary, job.Args...)
	cmd.Env = job.Env
	cmd.Dir = "/tmp"
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	status, err := reap(cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	if err := drain(output); err != nil {
		return 0, err
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// reap waits for every child, as process 1 must, until the job has ended.
func reap(job int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the job: %w", err)
		case pid == job:
			return status, nil
		}
	}
}

func report(code int, err error) error {
	if err != nil {
		return err
	}
	status, err := openSerial(guestjob.Status)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(status, guestjob.ExitLine, code); err != nil {
		return errors.Join(err, status.Close())
	}
	return errors.Join(drain(status), status.Close())
}
