package qemu_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/drivertest"
)

// TestApp is one machine and all that an app and its user do with it.
func TestApp(t *testing.T) {
	b := newBench(t)
	spec := b.spec(`trap "echo bye; echo kept >/kept; exit 7" TERM; echo ready; read line; echo got $line; while :; do sleep 0.1; done`)
	stdin, typed, err := os.Pipe()
	must(t, err)
	spec.Process.Stdio[0] = stdin
	layer, volume, share := t.TempDir(), t.TempDir(), t.TempDir()
	spec.Image.Upper, spec.Image.Work = filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	must(t, errors.Join(os.Mkdir(spec.Image.Upper, 0o755), os.Mkdir(spec.Image.Work, 0o700)))
	must(t, os.WriteFile(filepath.Join(share, "letter"), []byte("dear\n"), 0o640))
	must(t, os.Chown(filepath.Join(share, "letter"), 0, 0))
	spec.Mounts = []sandbox.Mount{
		{Source: volume, Target: "/data", Volume: true},
		{Source: share, Target: "/share", ReadOnly: true},
	}
	got := b.run(spec, func(app sandbox.Instance) {
		must(t, write(typed, "yes\n"))
		for name, check := range map[string]func(*testing.T, sandbox.Instance){
			"streams": streams, "input": input, "much output": muchOutput, "no program": noProgram,
			"identity": identity, "terminal": terminal, "posture": posture, "stats": stats, "pause": pause,
			"signal": signal, "root is none": rootIsNone,
			"volume":    func(t *testing.T, app sandbox.Instance) { keepsVolume(t, app, volume) },
			"share":     func(t *testing.T, app sandbox.Instance) { readsShare(t, app, share) },
			"processes": func(t *testing.T, _ sandbox.Instance) { confined(t, spec.ID) },
		} {
			t.Run(name, func(t *testing.T) { check(t, app) })
		}
		must(t, app.Stop(context.Background()))
	})
	if got.exit != (sandbox.Exit{Code: 7}) || got.out != "ready\ngot yes\nbye\n" || got.err != "" {
		t.Errorf("the app ended with %+v", got)
	}
	info, err := os.Stat(filepath.Join(spec.Image.Upper, "kept"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != idBase {
		t.Errorf("what the app wrote: %v, %v; want it there and owned by %d", info, err, idBase)
	}
	nothingLeft(t, spec.ID)
}

func write(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return errors.Join(err, f.Close())
}

// execed runs a command in the app's place and waits for it.
func execed(t *testing.T, app sandbox.Instance, p sandbox.Process, in string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p.Env = append(p.Env, "PATH=/bin", "HOME=/home")
	var ours [3]*os.File
	for n := range ours {
		r, w, err := os.Pipe()
		must(t, err)
		if n == 0 {
			p.Stdio[n], ours[n] = r, w
		} else {
			p.Stdio[n], ours[n] = w, r
		}
	}
	stdout, stderr := collect(ours[1]), collect(ours[2])
	running, err := app.(sandbox.Execer).Exec(ctx, p)
	must(t, err)
	must(t, write(ours[0], in))
	exit, err := running.Wait(ctx)
	must(t, err)
	return outcome{exit, <-stdout, <-stderr}
}

func shell(script string) sandbox.Process { return sandbox.Process{Args: []string{"sh", "-c", script}} }

func streams(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, shell("echo out; echo err >&2; exit 3"), "")
	if got != (outcome{sandbox.Exit{Code: 3}, "out\n", "err\n"}) {
		t.Errorf("%+v", got)
	}
}

func input(t *testing.T, app sandbox.Instance) {
	text := strings.Repeat("0123456789abcde\n", 1<<14) // 256 KiB
	if got := execed(t, app, shell("cat"), text); got.out != text || got.exit.Code != 0 {
		t.Errorf("%d bytes came back of %d, %+v %s", len(got.out), len(text), got.exit, got.err)
	}
}

func muchOutput(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, shell("head -c 3000000 /dev/zero"), "")
	if !bytes.Equal([]byte(got.out), make([]byte, 3_000_000)) || got.exit.Code != 0 {
		t.Errorf("%d bytes of 3,000,000, %+v %s", len(got.out), got.exit, got.err)
	}
}

func noProgram(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, sandbox.Process{Args: []string{"nothing-of-that-name"}}, "")
	if got.exit.Code != 127 {
		t.Errorf("%+v", got)
	}
}

func identity(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, shell("id -u; hostname; stat -c %u:%g /bin/busybox; ls /sys/class/net | tr '\\n' ' '; ls /files /dev/vport* 2>&1 | wc -l"), "")
	if want := "0\nboxed\n0:0\neth0 lo 2\n"; got.out != want {
		t.Errorf("%q, want %q", got.out, want)
	}
	p := shell("id -u; touch /tmp/x && stat -c %u /tmp/x; touch /x 2>/dev/null || echo no")
	p.User = sandbox.User{UID: 1000, GID: 1000}
	if got := execed(t, app, p, ""); got.out != "1000\n1000\nno\n" {
		t.Errorf("as a user: %+v", got)
	}
}

func terminal(t *testing.T, app sandbox.Instance) {
	p := shell("stty size; tty >/dev/null && echo yes")
	p.Terminal, p.Size = true, sandbox.WindowSize{Rows: 33, Cols: 77}
	if got := execed(t, app, p, ""); !strings.Contains(got.out, "33 77\r\nyes") {
		t.Errorf("%+v", got)
	}
}

// posture: nothing is missing, and nothing was waived.
func posture(t *testing.T, app sandbox.Instance) {
	p, err := app.Posture(t.Context())
	must(t, err)
	stands := map[string]bool{}
	for _, w := range p.Walls {
		stands[w.Name] = w.Stands && w.Required
		t.Logf("%-22s %v %s", w.Name, w.Stands, w.Detail)
	}
	for _, name := range []string{"VM boundary", "eBPF LSM", "eBPF cgroup programs", "Landlock", "seccomp", "cgroup limits", "user namespace", "router"} {
		if !stands[name] {
			t.Errorf("%s does not stand, or need not", name)
		}
	}
	must(t, p.Missing())
}

func stats(t *testing.T, app sandbox.Instance) {
	s, err := app.(sandbox.Statser).Stats(t.Context())
	must(t, err)
	if s.Memory <= 0 || s.MemoryLimit < 256<<20 || s.PIDs <= 0 {
		t.Errorf("%+v", s)
	}
}

func pause(t *testing.T, app sandbox.Instance) {
	p := app.(sandbox.Pauser)
	must(t, p.Pause(t.Context()))
	if _, err := app.(sandbox.Execer).Exec(t.Context(), shell("true")); err == nil {
		t.Error("a paused app runs a command")
	}
	must(t, p.Unpause(t.Context()))
	if got := execed(t, app, shell("echo on"), ""); got.out != "on\n" {
		t.Errorf("%+v", got)
	}
}

func signal(t *testing.T, app sandbox.Instance) {
	p := shell("sleep 60")
	running, err := app.(sandbox.Execer).Exec(t.Context(), p)
	must(t, err)
	must(t, running.Signal(t.Context(), sandbox.SIGKILL))
	if exit, err := running.Wait(t.Context()); err != nil || exit.Code != 137 {
		t.Errorf("%+v, %v", exit, err)
	}
}

// rootIsNone: root inside is root over nothing of the guest.
func rootIsNone(t *testing.T, app sandbox.Instance) {
	got := execed(t, app, shell(`mount -t tmpfs x /tmp 2>/dev/null || echo mount
ip link set eth0 down 2>/dev/null || echo card
mknod /dev/sda b 8 0 2>/dev/null || echo node
echo 1 >/proc/sys/kernel/panic 2>/dev/null || echo sysctl
dmesg >/dev/null 2>&1 || echo dmesg
ls /proc | grep -c '^[0-9]' | { read n; [ $n -lt 20 ] && echo few; }`), "")
	if want := "mount\ncard\nnode\nsysctl\ndmesg\nfew\n"; got.out != want {
		t.Errorf("%q, want %q", got.out, want)
	}
}

// keepsVolume: what is written is there on the host when the write returned,
// with the ids that apps know.
func keepsVolume(t *testing.T, app sandbox.Instance, volume string) {
	execed(t, app, shell("echo mine >/data/file && chown 1000 /data/file"), "")
	text, err := os.ReadFile(filepath.Join(volume, "file"))
	must(t, err)
	var st syscall.Stat_t
	must(t, syscall.Stat(filepath.Join(volume, "file"), &st))
	if string(text) != "mine\n" || st.Uid != 1000 {
		t.Errorf("%q, owner %d", text, st.Uid)
	}
}

func readsShare(t *testing.T, app sandbox.Instance, share string) {
	got := execed(t, app, shell("cat /share/letter; echo x 2>/dev/null >>/share/letter || echo no; ln -s / /share/l 2>/dev/null || echo no"), "")
	if got.out != "dear\nno\nno\n" {
		t.Errorf("%+v", got)
	}
	if entries, err := os.ReadDir(share); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// process is one of a machine, as the host sees it.
type process struct {
	pid    int
	name   string
	status map[string]string
}

// processesOf finds QEMU of a run, and what has its PID namespace.
func processesOf(t *testing.T, id string) []process {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must(t, err)
	namespace := ""
	all := map[string][]process{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		at, _ := os.Readlink(filepath.Join("/proc", e.Name(), "ns/pid"))
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		p := process{pid: pid, status: map[string]string{}}
		for l := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(l, ":")
			p.status[key] = strings.TrimSpace(value)
		}
		p.name = p.status["Name"]
		all[at] = append(all[at], p)
		if slices.Contains(strings.Split(string(line), "\x00"), "consentry-"+id) {
			namespace = at
		}
	}
	if namespace == "" {
		return nil
	}
	return all[namespace]
}

// confined: QEMU is nobody, and everything is in namespaces of its own.
func confined(t *testing.T, id string) {
	all := processesOf(t, id)
	if len(all) < 3 {
		t.Fatalf("the machine is %v", all)
	}
	for _, p := range all {
		for _, ns := range []string{"mnt", "net", "ipc", "uts"} {
			ours, _ := os.Readlink("/proc/self/ns/" + ns)
			theirs, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(p.pid), "ns", ns))
			if err != nil || ours == theirs {
				t.Errorf("%s has our %s namespace, %v", p.name, ns, err)
			}
		}
		if !strings.HasPrefix(p.name, "qemu-system") {
			continue
		}
		if p.status["CapEff"] != "0000000000000000" || p.status["Seccomp"] != "2" || !strings.HasPrefix(p.status["Uid"], strconv.Itoa(idBase+65534)) {
			t.Errorf("QEMU: %v", p.status)
		}
		root := filepath.Join("/proc", strconv.Itoa(p.pid), "root")
		for _, secret := range []string{"home", "root", "var", "etc/passwd", "etc/shadow", "dev/mem", "dev/kvm"} {
			if _, err := os.Lstat(filepath.Join(root, secret)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("QEMU sees /%s: %v", secret, err)
			}
		}
	}
}

// nothingLeft waits a moment for a PID namespace that is being taken down.
func nothingLeft(t *testing.T, id string) {
	t.Helper()
	for range 50 {
		if len(processesOf(t, id)) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("left of the machine: %v", processesOf(t, id))
}

// TestConform: the driver is one as vmhost wants it.
func TestConform(t *testing.T) {
	b := newBench(t)
	drivertest.Conform(t, b.driver, vmhost.Config{
		Arch: runtime.GOARCH, Kernel: b.config.Kernel, Initramfs: b.config.Init, Memory: 384 << 20, CPUs: 1, Spec: b.spec("true"),
	})
}

// TestBadFiles: what a guest must not see ends the boot, with a word why.
func TestBadFiles(t *testing.T) {
	b := newBench(t)
	beside := t.TempDir()
	must(t, errors.Join(os.Mkdir(filepath.Join(beside, "upper"), 0o755), os.Mkdir(filepath.Join(beside, "work"), 0o755),
		os.WriteFile(filepath.Join(beside, "run.json"), []byte("{}"), 0o600)))
	for name, change := range map[string]func(*sandbox.Spec){
		"run.json lies beside the writable layer": func(s *sandbox.Spec) {
			s.Image.Upper, s.Image.Work = filepath.Join(beside, "upper"), filepath.Join(beside, "work")
		},
		"one folder with upper and work in it": func(s *sandbox.Spec) {
			s.Image.Upper, s.Image.Work = filepath.Join(beside, "upper"), t.TempDir()
		},
		"cannot be shared": func(s *sandbox.Spec) {
			s.Mounts = []sandbox.Mount{{Source: "/run", Target: "/share"}}
		},
		"no such file":      func(s *sandbox.Spec) { s.Image.Lower = []string{"/nothing/of/that/name"} },
		"not the app's own": func(s *sandbox.Spec) { s.Image.IDBase = 0 },
	} {
		spec := b.spec("true")
		change(&spec)
		if _, err := b.host.Start(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
		nothingLeft(t, spec.ID)
	}
}

// TestEnds: whatever is killed, all of it ends, and the exit says which it was.
func TestEnds(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ victim, says string }{
		{"qemu-system-x86", "QEMU has ended: signal: killed"},
		{"virtiofsd", "virtiofsd has ended: signal: killed"},
		{"consentry", "the launcher of the microVM has ended"},
	} {
		t.Run(c.victim, func(t *testing.T) {
			spec := b.spec("echo up; sleep 600")
			got := b.run(spec, func(sandbox.Instance) {
				for _, p := range processesOf(t, spec.ID) {
					if p.name == c.victim || c.victim == "consentry" && !strings.HasPrefix(p.name, "qemu-system") && p.name != "virtiofsd" {
						must(t, syscall.Kill(p.pid, syscall.SIGKILL))
						return
					}
				}
				t.Errorf("no %s among %v", c.victim, processesOf(t, spec.ID))
			})
			if got.exit.Code != 137 || !strings.Contains(got.exit.Reason, c.says) {
				t.Errorf("%+v, want it to say %q", got.exit, c.says)
			}
			nothingLeft(t, spec.ID)
		})
	}
}

// TestLyingGuest: a guest whose kernel was taken over gets no further than its own
// end, which the exit tells.
func TestLyingGuest(t *testing.T) {
	b := newBench(t)
	guest := vmtest.GuestOf(t, runtime.GOARCH, "./testdata/liar")
	config := b.config
	config.Kernel, config.Init = filepath.Join(guest, "kernel"), filepath.Join(guest, "initramfs")
	b.host = vmhost.NewHost(config)
	t.Cleanup(func() { must(t, b.host.Close()) })
	for _, c := range []struct{ does, says string }{
		{"panic", "the guest's kernel has panicked"},
		{"lengths", "does not answer any more"},
		{"again", "does not answer any more"},
	} {
		t.Run(c.does, func(t *testing.T) {
			spec := b.spec("")
			spec.Process = sandbox.Process{Args: []string{c.does}}
			before := runtime.NumGoroutine()
			app, err := b.host.Start(t.Context(), spec, nil)
			must(t, err)
			p, err := app.Posture(t.Context())
			if err == nil && strings.ContainsRune(p.Walls[len(p.Walls)-1].Detail, 0x1b) {
				t.Errorf("its words reach the terminal: %q", p.Walls[len(p.Walls)-1].Detail)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			exit, err := app.Wait(ctx)
			if err != nil {
				t.Error(err)
				must(t, app.Stop(context.Background()))
			} else if exit.Code != 137 || !strings.Contains(exit.Reason, c.says) {
				t.Errorf("%+v, want it to say %q", exit, c.says)
			}
			nothingLeft(t, spec.ID)
			for n := 0; runtime.NumGoroutine() > before && n < 100; n++ {
				time.Sleep(20 * time.Millisecond)
			}
			if left := runtime.NumGoroutine(); left > before {
				t.Errorf("%d goroutines were there before, %d are now", before, left)
			}
		})
	}
}
