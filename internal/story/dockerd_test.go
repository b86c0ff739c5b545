//go:build linux

package story

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAnImageOfDockerd: what a real Docker daemon has in its store is run from
// there; long.
func TestAnImageOfDockerd(t *testing.T) {
	dir, err := os.MkdirTemp("", "dd") // short: the path of a unix socket is bounded
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	host := "unix://" + filepath.Join(dir, "d.sock")
	t.Setenv("DOCKER_HOST", host) // the agent's, too
	w := newWorld(t)
	w.dockerd(dir, host)

	archive := filepath.Join(dir, "image.tar")
	w.run(exec.Command("skopeo", "copy", "--quiet", "oci:"+built.image, "docker-archive:"+archive+":team/page:1"))
	w.run(exec.Command("docker", "load", "--quiet", "--input", archive))
	r := w.result("run", "--quiet", "--no-input", "docker-daemon:team/page:1", "sh", "-c", "cat /etc/os-release")
	if r.code != 0 || !strings.Contains(r.out, "Debian") {
		t.Errorf("exit %d: %q %s", r.code, r.out, r.err)
	}
	if r := w.result("run", "--quiet", "docker-daemon:team/none:1"); r.code == 0 || !strings.Contains(r.err, "no image team/none:1") {
		t.Errorf("one that it has not: exit %d: %s", r.code, r.err)
	}
}

// dockerd starts Debian's, away from the machine's network and mounts.
func (w *world) dockerd(dir, host string) {
	w.t.Helper()
	const script = `mount --make-rprivate / && ip link set lo up && exec dockerd --host "$1" --data-root "$0/root" --exec-root "$0/exec" --pidfile "$0/pid" ` +
		`--storage-driver vfs --iptables=false --ip6tables=false --bridge=none`
	cmd := exec.Command("unshare", "--net", "--mount", "sh", "-c", script, dir, host)
	var log text
	cmd.Stdout, cmd.Stderr = &log, &log
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if w.t.Failed() {
			w.t.Logf("dockerd: %s", log.String())
		}
	})
	w.until("dockerd answers", func() bool {
		c, err := net.Dial("unix", strings.TrimPrefix(host, "unix://"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
