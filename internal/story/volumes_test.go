//go:build linux

package story

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/consentry/consentry/agent/api"
)

// seedLayer has a directory of the user 999 with a file in it.
func seedLayer(t *testing.T) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range []tar.Header{
		{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644, Size: 68},
		{Name: "srv/db/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 999, Gid: 998},
		{Name: "srv/db/seed", Typeflag: tar.TypeReg, Mode: 0o600, Uid: 999, Gid: 998, Size: 5},
		{Name: "srv/empty/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 999, Gid: 998},
	} {
		must(t, w.WriteHeader(&h))
		body := "seed\n"
		if h.Size > 5 {
			body = "root:x:0:0::/root:/bin/sh\ndb:x:999:998::/srv:/bin/sh\n"
			body += strings.Repeat("\n", int(h.Size)-len(body))
		}
		if h.Size > 0 {
			_, err := io.WriteString(w, body)
			must(t, err)
		}
	}
	must(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	must(t, err)
	return layer
}

func (w *world) volumes() (list []api.Volume) {
	w.t.Helper()
	must(w.t, json.Unmarshal([]byte(w.result("volume", "ls", "--json").out), &list))
	return list
}

// TestVolumesOfAnImage: an image gets the volumes it asks for, with what it has
// there, owners and all; they outlive a start, and go with the run.
func TestVolumesOfAnImage(t *testing.T) {
	w := newWorld(t)
	image := variant(t, "db", func(c *v1.Config) {
		c.Volumes = map[string]struct{}{"/srv/db": {}, "/srv/empty": {}, "/proc/x": {}}
		c.User = "db"
	}, seedLayer(t))
	const script = "cat /srv/db/seed; echo more >>/srv/db/seed; echo x >/srv/empty/f; stat -c %u:%g:%a /srv/db /srv/empty; grep -c ' /srv/' /proc/mounts"
	r := w.result("run", "--quiet", "--name", "db", image, "sh", "-c", script)
	if want := "seed\n999:998:700\n999:998:700\n2\n"; r.code != 0 || r.out != want {
		t.Fatalf("exit %d, %q, want %q: %s", r.code, r.out, want, r.err)
	}
	list := w.volumes()
	if len(list) != 2 || list[0].OfRun == "" || len(list[0].Runs) != 1 || list[0].Runs[0] != "db" {
		t.Fatalf("volumes: %+v", list)
	}
	if r := w.result("start", "db"); r.code != 0 {
		t.Fatal(r.err)
	}
	w.until("the second start finds what the first wrote", func() bool {
		return w.inspect("db").State == api.Exited && strings.Contains(w.result("logs", "db").out, "seed\nmore\n")
	})
	if r := w.result("volume", "rm", list[0].Name); r.code == 0 || !strings.Contains(r.err, "belongs to db") {
		t.Errorf("a volume of a run was removed: %s", r.err)
	}
	if r := w.result("rm", "-v", "db"); r.code != 0 || len(w.volumes()) != 0 {
		t.Errorf("rm -v: %s, left %+v", r.err, w.volumes())
	}
	if r := w.result("run", "--rm", "--quiet", image, "cat", "/srv/db/seed"); r.out != "seed\n" {
		t.Errorf("run --rm: %q: %s", r.out, r.err)
	}
	w.until("what run --rm had is gone", func() bool { return len(w.volumes()) == 0 })
	if r := w.result("run", "--rm", "--quiet", "--ephemeral", image, "sh", "-c", "cat /srv/db/seed; grep -c ' /srv/' /proc/mounts"); r.out != "seed\n0\n" {
		t.Errorf("--ephemeral: %q: %s", r.out, r.err)
	}
}

// TestNamedVolumeIsSharedAndBackedUp: what one app writes another reads; a
// backup comes back as another volume, on the user's word only.
func TestNamedVolumeIsSharedAndBackedUp(t *testing.T) {
	w := newWorld(t)
	if r := w.result("run", "--rm", "--quiet", "-v", "v:/data", built.image, "sh", "-c", "echo kept >/data/f; chown 33:34 /data/f; ln /data/f /data/g"); r.code != 0 {
		t.Fatal(r.err)
	}
	file := filepath.Join(w.home, "v.tar")
	if r := w.result("volume", "backup", "v", "-o", file); r.code != 0 {
		t.Fatal(r.err)
	}
	if r := w.result("volume", "restore", "w", file); r.code != 0 {
		t.Fatal(r.err)
	}
	r := w.result("run", "--rm", "--quiet", "-v", "v:/a:ro", "-v", "w:/b", built.image, "sh", "-c", "cat /a/f /b/g; stat -c %u:%g:%h /b/f; echo x >/a/no")
	if want := "kept\nkept\n33:34:2\n"; r.code == 0 || r.out != want {
		t.Errorf("exit %d, %q, want %q and a volume that is read-only: %s", r.code, r.out, want, r.err)
	}
	if r := w.result("volume", "restore", "w", file); r.code == 0 || !strings.Contains(r.err, "hint") {
		t.Errorf("restored over a volume that is there: %s", r.err)
	}
	if r := w.result("volume", "rm", "v", "w"); r.code != 0 || len(w.volumes()) != 0 {
		t.Errorf("rm: %s", r.err)
	}
}

// TestPublishAll: -P serves what the image exposes on free ports.
func TestPublishAll(t *testing.T) {
	w := newWorld(t)
	image := variant(t, "web", func(c *v1.Config) { c.ExposedPorts = map[string]struct{}{"8000/tcp": {}, "9000/tcp": {}, "53/udp": {}} })
	if r := w.result("run", "-d", "--quiet", "-P", "--name", "web", image); r.code != 0 {
		t.Fatal(r.err)
	}
	got := map[string]uint16{}
	for _, p := range w.inspect("web").Ports {
		got[fmt.Sprintf("%d/%s", p.App, p.Kind)] = p.Host
	}
	if len(got) != 3 || got["8000/"] == 0 || got["9000/"] == 0 || got["53/udp"] == 0 {
		t.Fatalf("published %v", got)
	}
	url := fmt.Sprintf("http://localhost:%d/", got["8000/"])
	w.until("the page answers", func() bool {
		out, err := w.in(w.machine, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url).Output()
		return err == nil && string(out) == fmt.Sprint(http.StatusOK)
	})
	w.result("rm", "-f", "web")
}

// TestDataBehindALink: the data folder may be reached through a link.
func TestDataBehindALink(t *testing.T) {
	w := newWorld(t)
	must(t, w.agent.Process.Kill())
	w.until("the agent is gone", func() bool { return w.agentPID() == 0 })
	real := w.home + "-real"
	must(t, os.Mkdir(real, 0o700))
	t.Cleanup(func() { os.RemoveAll(real) })
	linked := filepath.Join(w.home, "l")
	must(t, os.Symlink(real, linked))
	w.env = append(w.env, "CONSENTRY_HOME="+linked)
	w.daemon(w.machine, nil, built.program, "agent", "--foreground")
	w.until("the agent answers", func() bool { // a command would start another one
		_, err := net.Dial("unix", filepath.Join(linked, "run", "agent.sock"))
		return err == nil
	})
	if r := w.result("run", "--rm", "--quiet", "-v", "v:/v", built.image, "sh", "-c", "echo works >/v/f; cat /v/f"); r.out != "works\n" {
		t.Errorf("exit %d, %q: %s", r.code, r.out, r.err)
	}
}
