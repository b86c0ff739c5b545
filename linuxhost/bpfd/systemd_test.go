//go:build linux

package bpfd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/linuxhost/bpfd"
)

const (
	systemd = "/lib/systemd/systemd"
	units   = "/etc/systemd/system"
	unit    = "consentry-bpf"
)

// addSystemd adds this machine's systemd to the files of a guest, the targets that
// units stand on, and our units with their program.
func addSystemd(t *testing.T, files map[string]string, program string) {
	t.Helper()
	if _, err := os.Stat(systemd); err != nil {
		t.Skip("needs systemd (apt-get install systemd)")
	}
	vmtest.AddProgram(t, files, systemd, systemd)
	for _, name := range []string{"sysinit", "basic", "sockets", "shutdown", "umount"} {
		files[units+"/"+name+".target"] = "/lib/systemd/system/" + name + ".target"
	}
	for _, name := range []string{".socket", ".service"} {
		path, err := filepath.Abs("../../packaging/systemd/" + unit + name)
		must(t, err)
		files[units+"/"+unit+name] = path
	}
	files["/usr/bin/consentry-bpf"] = program
}

func init() { roles["systemd"] = systemdRole }

// systemdRole becomes systemd, the first process of its namespace.
func systemdRole([]string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	return unix.Exec(systemd, []string{systemd, "--system", "--unit=sockets.target", "--log-target=console"}, append(os.Environ(), "container=test"))
}

// TestUnits: what packaging/systemd installs, under a systemd that runs: it makes
// the socket, starts consentry-bpf for the first who asks, behind all that its unit
// takes from it, and again after its death.
func TestUnits(t *testing.T) {
	if !inGuest() {
		return // TestFencesBehindLSM boots the guest
	}
	for _, dir := range []string{"/var/tmp", "/root", "/home", units + "/sockets.target.wants"} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	must(t, os.Symlink(units+"/"+unit+".socket", units+"/sockets.target.wants/"+unit+".socket")) // systemctl enable
	manager := exec.Command("/proc/self/exe", "systemd")
	manager.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	manager.Stdout, manager.Stderr = os.Stderr, os.Stderr
	must(t, manager.Start())
	t.Cleanup(func() {
		manager.Process.Kill()
		manager.Wait()
		must(t, bpf.Lower(bpf.PinsOfUsers))
	})
	eventually(t, "systemd makes the socket", func() bool {
		info, err := os.Stat(bpfd.SocketPath)
		return err == nil && info.Mode().Perm() == 0o666
	})
	if pids := unitProcesses(t); len(pids) != 0 {
		t.Errorf("it runs before anybody asked: %v", pids)
	}
	user := newPerson(t, 0)
	above, run := user.cgroup("above"), user.cgroup("above/run")
	agent := user.caller(&service{socket: bpfd.SocketPath})
	if said := agent.says("raise", above); said != "raised, LSM <nil>" {
		t.Fatal(said)
	}
	pids := unitProcesses(t)
	if len(pids) != 1 {
		t.Fatalf("processes of the unit: %v", pids)
	}
	confined(t, pids[0])
	for name, want := range map[string]bool{"mnt": true, "net": true} {
		if own := namespaceOf(t, pids[0], name) != namespaceOf(t, os.Getpid(), name); own != want {
			t.Errorf("a namespace of its own, %s: %v", name, own)
		}
	}
	if got := user.letDo(true, run); got != nothing {
		t.Errorf("a sandbox without a policy is let do %q", got)
	}
	must(t, unix.Kill(pids[0], unix.SIGKILL))
	eventually(t, "it is dead", func() bool { return len(unitProcesses(t)) == 0 })
	if got := user.letDo(true, run); got != nothing {
		t.Errorf("with a dead consentry-bpf a sandbox is let do %q", got)
	}
	agent.kill()
	other := user.caller(&service{socket: bpfd.SocketPath})
	if have := strings.Fields(other.says("status", above)); len(have) != 3 || have[0] != have[2] {
		t.Errorf("the next one says of the fence: %v", have)
	}
	if again := unitProcesses(t); len(again) != 1 || again[0] == pids[0] {
		t.Errorf("processes of the unit: %v, before %v", again, pids)
	}
}

// unitProcesses are those that systemd has started for the unit.
func unitProcesses(t *testing.T) (pids []int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(unifiedMount(t), "system.slice", unit+".service", "cgroup.procs"))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	for line := range strings.Lines(string(raw)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		must(t, err)
		pids = append(pids, pid)
	}
	return pids
}

func namespaceOf(t *testing.T, pid int, name string) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
	must(t, err)
	return link
}
