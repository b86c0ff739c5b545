//go:build linux

package linuxhost_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// entrypoint is what images of servers do as root before they serve: own the
// data, then become the server's user.
const entrypoint = `set -e
mkdir -p /data/db; echo config >/data/db/conf; chmod 600 /data/db/conf
chown -R 999:999 /data/db
stat -c '%u:%g' /data/db/conf
cat /data/db/conf
`

func TestEntrypointsChownAndChangeUser(t *testing.T) {
	b := newBench(t)
	must(t, os.WriteFile(filepath.Join(b.image, "etc/passwd"), []byte("root:x:0:0:root:/:/bin/sh\nserver:x:999:999::/data:/bin/sh\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(b.image, "etc/group"), []byte("root:x:0:\nserver:x:999:\n"), 0o644))
	const after = "id -u; id -g; grep -E CapEff /proc/self/status; touch /etc/mine 2>&1; echo more >>/data/db/conf; tail -n 1 /data/db/conf"
	for name, become := range map[string]string{
		"su":      "exec su server -c '" + after + "'",
		"setpriv": "exec setpriv --nnp sh -c 'true'",
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			got := b.run(b.spec(sh(entrypoint + become)...))
			if got.exit.Code != 0 || !strings.HasPrefix(got.out, "999:999\nconfig\n") {
				t.Fatalf("%+v", got)
			}
			if name == "su" && !strings.HasSuffix(got.out, "999\n999\nCapEff:\t0000000000000000\ntouch: /etc/mine: Permission denied\nmore\n") {
				t.Errorf("after su: %q", got.out)
			}
		})
	}
	b.t = t
}

func TestOtherUsersHaveNoCapability(t *testing.T) {
	b := newBench(t)
	must(t, os.WriteFile(filepath.Join(b.image, "etc/closed"), []byte("x"), 0o600))
	spec := b.spec(sh("grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u; cat /etc/closed; chown 5 /tmp; echo $?")...)
	spec.Process.User = sandbox.User{UID: 1000, GID: 1000}
	if got := b.run(spec); got.out != "0000000000000000\n1\n" {
		t.Fatalf("%+v", got)
	}
}

func TestPostureKnowsWhoseCapabilities(t *testing.T) {
	b := newBench(t)
	capabilities := func(app sandbox.Instance) sandbox.Wall {
		p, err := app.Posture(context.Background())
		must(t, err)
		for _, w := range p.Walls {
			if w.Name == "capabilities" {
				return w
			}
		}
		t.Fatal("posture is silent about capabilities")
		return sandbox.Wall{}
	}
	root, _ := launch(b, b.spec(sh("echo up; exec sleep 60")...))
	if w := capabilities(root); !w.Stands || !strings.HasPrefix(w.Detail, "1 of 1 processes") {
		t.Errorf("root: %+v", w)
	}
	spec := b.spec(sh("echo up; exec sleep 60")...)
	spec.Process.User = sandbox.User{UID: 1000, GID: 1000}
	other, _ := launch(b, spec)
	if w := capabilities(other); !w.Stands || !strings.HasPrefix(w.Detail, "0 of 1 processes") {
		t.Errorf("user: %+v", w)
	}
	_, err := other.(sandbox.Execer).Exec(context.Background(), sandbox.Process{Args: []string{"/bin/sleep", "60"}})
	must(t, err)
	if w := capabilities(other); !w.Stands || !strings.HasPrefix(w.Detail, "1 of 2 processes") {
		t.Errorf("user with an exec as root: %+v", w)
	}
}

// TestServersOfDebianStart runs images as they are published: their packages,
// their users, an entrypoint that owns the data and drops to the user. Long: the
// entrypoints above are the short form.
func TestServersOfDebianStart(t *testing.T) {
	b := newBench(t)
	root := t.TempDir()
	build := exec.Command("mmdebstrap", "--variant=minbase", "--include=redis-server,nginx-light,gosu", "bookworm", root)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	for name, c := range map[string]struct{ script, ask, want string }{
		"redis with setpriv": {
			"chown -R redis:redis /var/lib/redis; cd /var/lib/redis; exec setpriv --reuid=redis --regid=redis --clear-groups redis-server --protected-mode no",
			"redis-cli set k v; redis-cli get k; ps -o user= -C redis-server || stat -c %U /proc/$(pidof redis-server)", "OK\nv\n",
		},
		"redis with gosu": {
			"chown -R redis:redis /var/lib/redis; cd /var/lib/redis; exec gosu redis redis-server --protected-mode no",
			"redis-cli ping", "PONG\n",
		},
		"nginx": {
			"exec nginx -g 'daemon off;'", "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3", "HTTP/1.1 200 OK",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			spec := b.spec("bash", "-c", "echo up; "+c.script)
			spec.Process.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
			spec.Image.Lower = []string{root}
			b.upper(&spec)
			app, _ := launch(b, spec)
			eventuallyWithin(t, "the server answers", 30*time.Second, func() bool {
				r, w := pipe(t)
				out := collect(r)
				running, err := app.(sandbox.Execer).Exec(context.Background(), sandbox.Process{
					Args: []string{"bash", "-c", c.ask}, Env: spec.Process.Env, Stdio: [3]*os.File{nil, w, nil},
				})
				must(t, err)
				waitFor(t, running)
				return strings.Contains(<-out, c.want)
			})
		})
	}
	b.t = t
}
