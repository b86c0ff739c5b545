//go:build linux

package linuxhost_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
)

// inGuestWithLSM are tests of this package that run a second time where LSM
// programs judge: apps must work, and attacks must fail, behind them too.
const inGuestWithLSM = "^(TestWithLSM|TestNothingOfTheHostIsSeen|TestFolderTakenBack|TestFolderTakenBackWhileMapped|TestPartsOfAFolder|TestUserWithLSM)$"

// moreInGuestWithLSM take minutes under emulation: CONSENTRY_LONG=1.
const moreInGuestWithLSM = "^(TestWithLSM|TestPostureIsWhatWasAsked|TestShare|TestExitCodes|TestNothingOfTheHostIsSeen|TestUpperPersistsMemoryDoesNot|TestVolume|TestFolder.*|TestPartsOfAFolder|TestUserWithLSM)$"

// denials logs what the kernel denied in a test that failed.
func (b *bench) denials() {
	if !b.t.Failed() {
		return
	}
	ring, err := bpf.OpenRing(linuxhost.FencePins(b.state))
	if err != nil {
		b.t.Log(err)
		return
	}
	defer ring.Close()
	for e, err := ring.Next(); err == nil; e, err = ring.Next() {
		b.t.Logf("%s %s denied=%v pid %d %s: %s", e.Hook.Line(), e.Hook, e.Denied, e.PID, e.Comm, e.Detail)
	}
}

// TestWithLSM boots a kernel that loads LSM programs.
func TestWithLSM(t *testing.T) {
	if os.Getenv("CONSENTRY_VMTEST") != "" {
		behindLSM(t)
		return
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (apt-get install busybox-static)")
	}
	pattern := inGuestWithLSM
	if os.Getenv("CONSENTRY_LONG") != "" {
		pattern = moreInGuestWithLSM
	}
	files := asuser.GuestTools(t)
	files["/bin/busybox"], files[fencesInGuest] = busybox, asuser.BuildFences(t)
	for _, kernel := range vmtest.LSMKernels() {
		t.Run(kernel, func(t *testing.T) {
			vmtest.Test(t, "github.com/consentry/consentry/linuxhost", pattern, vmtest.Config{
				Kernel: kernel, Files: files, Disk: 256,
				Timeout: 10 * time.Minute,
			})
		})
	}
}

// behindLSM: the wall stands, and a socket that a program of the host makes in
// a shared folder while the app runs cannot be reached (probe 66). One that was
// there before is covered, with LSM or without.
func behindLSM(t *testing.T) {
	onlyProgramsOfTheImage(t)
	b := newBench(t)
	folder := t.TempDir()
	must(t, os.Chmod(folder, 0o777))
	program, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.image, "bin/connect"), program, 0o755))
	spec := b.spec(sh("until test -S /share/agent.sock; do sleep 0.1; done; connect test-connect /share/agent.sock; echo ended $?")...)
	spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/share"}}
	refused := make(chan string, 100)
	got := b.run(spec, func(app sandbox.Instance) {
		go func() {
			defer close(refused)
			app.(sandbox.RefusalTracer).Refusals(context.Background(), func(e sandbox.TraceEvent) error {
				refused <- e.Call
				return nil
			})
		}()
		p, err := app.Posture(t.Context())
		must(t, err)
		if !lsmStands(p) {
			t.Errorf("LSM does not stand: %+v", p)
		}
		serveNobody(t, filepath.Join(folder, "agent.sock"))
	})
	if got.out != "dial unix /share/agent.sock: connect: permission denied\nended 1\n" {
		t.Errorf("got %+v", got)
	}
	told := false
	for call := range refused {
		told = told || call == "unix connect"
	}
	if !told {
		t.Error("nobody was told of the refusal")
	}
}

// onlyProgramsOfTheImage: where the manifest says so, what came after the image
// is not run, however it came, while the image's programs are.
func onlyProgramsOfTheImage(t *testing.T) {
	b := newBench(t)
	folder := t.TempDir()
	program, err := os.ReadFile(filepath.Join(b.image, "bin/busybox"))
	must(t, err)
	for _, path := range []string{filepath.Join(folder, "true"), filepath.Join(b.image, "bin/own"), filepath.Join(b.image, "data/true")} {
		must(t, os.WriteFile(path, program, 0o755))
	}
	time.Sleep(50 * time.Millisecond) // a file system's clock is coarse
	const script = `busybox true && echo image; cp /bin/busybox /home/true; touch -d 2001-01-01 /home/true /data/true; mv /bin/own /etc/true; cp /bin/busybox /tmp/true
for f in /home/true /data/true /etc/true /tmp/true /share/true; do $f 2>/dev/null && echo ran $f; done; busybox true && echo still`
	const all = "image\nran /home/true\nran /data/true\nran /etc/true\nran /tmp/true\nran /share/true\nstill\n"
	spec := b.spec(sh(script)...)
	spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/share", ReadOnly: true}}
	if got := b.run(spec); got.out != all {
		t.Errorf("not pinned: %+v", got)
	}
	spec = b.spec(sh(script)...)
	spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/share", ReadOnly: true}}
	spec.Pinned = time.Now()
	if got := b.run(spec); got.out != "image\nstill\n" {
		t.Errorf("pinned: %+v", got)
	}
}

// serveNobody is a program of the host that no app may reach. The socket comes
// into place when all may connect to it.
func serveNobody(t *testing.T, path string) {
	host, err := net.Listen("unix", path+".new")
	must(t, err)
	t.Cleanup(func() { host.Close() })
	must(t, os.Chmod(path+".new", 0o777))
	must(t, os.Rename(path+".new", path))
	go func() {
		for {
			conn, err := host.Accept()
			if err != nil {
				return
			}
			t.Error("a process of the sandbox reached the host's socket")
			conn.Close()
		}
	}()
}

// connectRole connects to a unix socket from inside a sandbox.
func connectRole(args []string) int {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	conn.Close()
	return 0
}
