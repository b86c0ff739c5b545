//go:build linux

package linuxhost_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// podmanHere starts podman where crun takes it: with cgroup2 alone (it refuses
// a hybrid layout), and limits that a machine without CAP_SYS_RESOURCE can set.
const podmanHere = `umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && root=$1 && shift &&
exec podman --root $root/store --runroot $root/run --storage-driver vfs --runtime crun --cgroup-manager cgroupfs \
run --rm --cgroups=disabled --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"`

// podman runs the process of a spec from the same root file system.
func (b *bench) podman(root, state string, spec sandbox.Spec) (out, stderr string, code int) {
	p := spec.Process
	line := []string{"-c", podmanHere, "sh", state, "--hostname", spec.Hostname, "--user", fmt.Sprintf("%d:%d", p.User.UID, p.User.GID)}
	for _, group := range p.User.Groups {
		line = append(line, "--group-add", fmt.Sprint(group))
	}
	for _, kv := range p.Env {
		line = append(line, "--env", kv)
	}
	if p.Dir != "" {
		line = append(line, "--workdir", p.Dir)
	}
	cmd := exec.Command("sh", append(append(line, "--rootfs", root), p.Args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return string(text), complaint.String(), cmd.ProcessState.ExitCode()
}

// TestAsPodmanDoes holds the table's expectations against podman itself. A row
// that says why it differs must differ. Long: the table has what podman did.
func TestAsPodmanDoes(t *testing.T) {
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("needs podman and crun (apt-get install podman crun)")
	}
	b := newBench(t)
	for _, row := range behaviours {
		t.Run(row.name, func(t *testing.T) {
			b.t = t
			spec := b.spec(sh(row.script)...)
			if row.change != nil {
				row.change(&spec)
			}
			if spec.Image.Files != nil {
				return // podman's files come another way
			}
			root := t.TempDir()
			if err := exec.Command("cp", "-a", b.image+"/.", root).Run(); err != nil {
				t.Fatal(err)
			}
			out, stderr, code := b.podman(root, b.state, spec)
			same := out == row.want && code == row.code
			if same == (row.why != "") {
				t.Errorf("podman: %q, exit %d; the table: %q, exit %d, %q; standard error %q", out, code, row.want, row.code, row.why, stderr)
			}
		})
	}
	b.t = t
}
