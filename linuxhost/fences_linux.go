package linuxhost

import (
	"fmt"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpfd"
	"github.com/consentry/consentry/linuxhost/seccomp"
)

// fenceCapabilities are what raising a fence needs: BPF to load, PERFMON to read
// the kernel's memory in programs, NET_ADMIN to attach to cgroups.
var fenceCapabilities = []uint{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN}

// ConfineFences takes from this process, which root has started, all that
// consentry-bpf does not need, on all its threads and for good. pins is where it
// pins what it loads. An error leaves it half confined: it must end.
func ConfineFences(pins string) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("confine: core: %w", err)
	}
	trees, err := mounted()
	if err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	read := append([]string{}, bpfd.ReadDirs...)
	for _, tree := range trees {
		if tree.v2 {
			read = append(read, tree.mount)
		}
	}
	err = landlock.V6.BestEffort().Restrict(landlock.RODirs(read...).IgnoreIfMissing(), landlock.RWDirs(pins))
	if err != nil {
		return fmt.Errorf("confine: landlock: %w", err)
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("confine: no_new_privs: %w", err)
	}
	if err := setCapabilities(fenceCapabilities); err != nil {
		return fmt.Errorf("confine: %w; start it as root", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("confine: not dumpable: %w", err)
	}
	if err := seccomp.Install(seccomp.Fences()); err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	return nil
}
