//go:build linux

package linuxhost_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

func TestForkBombHitsItsLimit(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("i=0; while [ $i -lt 200 ]; do sleep " + nap(5) + " & i=$((i+1)); done; echo all started")...)
	spec.Limits.PIDs = 30
	got := b.run(spec, func(app sandbox.Instance) {
		if n := countProcesses(t, "sleep\x00"+nap(5)); n > 40 {
			t.Errorf("%d processes at a limit of 30", n)
		}
	})
	if strings.Contains(got.out, "all started") || !strings.Contains(got.err, "can't fork") {
		t.Fatalf("got %+v", got)
	}
}

func TestMemoryBombDiesAlone(t *testing.T) {
	b := newBench(t)
	neighbour, _ := launch(b, b.spec(sh("echo up; sleep 60")...))
	spec := b.spec("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
	spec.Limits.Memory = 64 << 20
	got := b.run(spec)
	if got.exit.Code != 137 || !got.exit.OOM {
		t.Fatalf("got %+v", got)
	}
	if _, err := neighbour.Posture(context.Background()); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
}

func TestKilledIsNotOutOfMemory(t *testing.T) {
	b := newBench(t)
	if got := b.run(b.spec(sh("kill -9 $$")...)); got.exit.OOM || got.exit.Code != 137 {
		t.Fatalf("got %+v", got)
	}
}

func TestMemoryCountsFilesInMemory(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("dd if=/dev/zero of=/tmp/big bs=1M count=200; ls -l /tmp/big | wc -l")...)
	spec.Limits.Memory = 64 << 20
	if got := b.run(spec); got.exit.Code == 0 && !strings.Contains(got.err, "No space") {
		t.Fatalf("200 MiB went into an app of 64: %+v", got)
	}
}

func TestNothingOfTheHostIsSeen(t *testing.T) {
	b := newBench(t)
	secret := filepath.Join(t.TempDir(), "host-secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o644))
	abstract, err := net.Listen("unix", "@consentry-test-of-the-host")
	must(t, err)
	defer abstract.Close()
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	must(t, err)
	defer socket.Close()
	script := strings.Join([]string{
		"cat " + secret, "ls /", "ls /proc | grep -c '^[0-9]'", "cat /proc/net/unix | grep -c consentry",
		"ls /sys/class/net", "cat /proc/mounts", "ls -l /proc/1/root /proc/1/exe /proc/1/fd", "cat /proc/1/environ", "hostname", "ls /dev",
	}, "; echo ---; ")
	got := b.run(b.spec(sh(script + "; true")...))
	parts := strings.Split(got.out, "---\n")
	if len(parts) != 10 {
		t.Fatalf("got %+v", got)
	}
	if parts[0] != "" || !strings.Contains(got.err, "host-secret") {
		t.Errorf("the host's file: %q", parts[0])
	}
	if parts[1] != "bin\ndata\ndev\netc\nhome\nproc\nsys\ntmp\n" {
		t.Errorf("the root holds %q", parts[1])
	}
	if n := strings.TrimSpace(parts[2]); n != "4" && n != "3" {
		t.Errorf("%s processes are seen", n)
	}
	if parts[3] != "0\n" {
		t.Errorf("abstract sockets of the host are seen: %q", parts[3])
	}
	if parts[4] != "lo\n" { // this run has no link, so no card
		t.Errorf("interfaces: %q", parts[4])
	}
	for _, path := range []string{b.image, b.state, "/var", "ext4"} {
		if strings.Contains(parts[5], path) {
			t.Errorf("the mounts name %s: %s", path, parts[5])
		}
	}
	if strings.Contains(parts[6], "->") || parts[7] != "" {
		t.Errorf("init can be looked into: %q %q", parts[6], parts[7])
	}
	if parts[9] != "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n" {
		t.Errorf("devices: %q", parts[9])
	}
}

func TestPostureIsWhatWasAsked(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("echo up; sleep 60 & sleep 60")...)
	spec.Process.User = sandbox.User{UID: 1000, GID: 1000}
	app, _ := launch(b, spec)
	got, err := app.Posture(context.Background())
	must(t, err)
	want := map[string]bool{ // name to stands
		"user namespace": true, "namespaces": true, "own root": true, "no_new_privs": true, "capabilities": true,
		"seccomp": true, "cgroup limits": true, "Landlock": true, "router": true, "eBPF LSM": lsmStands(got), "eBPF cgroup programs": true,
	}
	for _, w := range got.Walls {
		stands, known := want[w.Name]
		delete(want, w.Name)
		if !known || w.Detail == "" || (w.Stands != stands && (w.Name != "Landlock" || w.Required)) || (w.Required && !w.Stands && !w.Waived) {
			t.Errorf("wall %+v", w)
		}
		t.Logf("%+v", w)
	}
	if len(want) > 0 || got.Host != "linux" {
		t.Errorf("host %q, walls missing: %v", got.Host, want)
	}
}

// TestPostureWhileProcessesEnd: those that end while they are looked at take no
// wall down.
func TestPostureWhileProcessesEnd(t *testing.T) {
	b := newBench(t)
	app, _ := launch(b, b.spec(sh("echo up; for i in 1 2 3; do while :; do /bin/true; done & done; wait")...))
	for range 200 {
		got, err := app.Posture(t.Context())
		must(t, err)
		for _, w := range got.Walls {
			if w.Required && !w.Stands && !w.Waived {
				t.Fatalf("wall %+v", w)
			}
		}
	}
}

// lsmStands is what posture says: whether it is so depends on the kernel, and
// the tests of package bpf show it where it can be.
func lsmStands(p sandbox.Posture) bool {
	for _, w := range p.Walls {
		if w.Name == "eBPF LSM" {
			return w.Stands
		}
	}
	return false
}

// TestLinkCarriesTheAppsFrames: what the router gets is the app's own card.
func TestLinkCarriesTheAppsFrames(t *testing.T) {
	b := newBench(t)
	ours, theirs, err := fdwire.Pair()
	must(t, err)
	spec := b.spec(sh("ip -o addr show dev eth0 | sed 's/ \\+/ /g' | cut -d' ' -f3,4; ip route; ip -6 route; cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu; nc -w 2 10.0.2.2 80; nc -w 2 fd00:c0de::2 80; true")...)
	spec.Link = theirs
	type tap struct {
		file *os.File
		err  error
	}
	arrived := make(chan tap, 1)
	go func() {
		var m struct{}
		files, err := ours.Recv(&m)
		if err != nil || len(files) != 1 {
			arrived <- tap{nil, err}
			return
		}
		arrived <- tap{files[0], nil}
	}()
	var frames [][]byte
	got := b.run(spec, func(sandbox.Instance) {
		card := <-arrived
		if card.err != nil || card.file == nil {
			t.Fatalf("no tap: %v", card.err)
		}
		defer card.file.Close()
		must(t, card.file.SetReadDeadline(time.Now().Add(3*time.Second)))
		buffer := make([]byte, 70000)
		for {
			n, err := card.file.Read(buffer)
			if err != nil {
				return
			}
			frames = append(frames, append([]byte(nil), buffer[:n]...))
		}
	})
	for _, want := range []string{
		"inet 10.0.2.15/24\n", "inet6 fd00:c0de::15/64\n", "default via 10.0.2.2 dev eth0", "default via fd00:c0de::2 dev eth0", sandbox.AppMAC + "\n65520\n",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in %q", want, got.out)
		}
	}
	if strings.Contains(got.out, "fe80") || strings.Contains(got.out, "tentative") {
		t.Errorf("more addresses than one: %q", got.out)
	}
	arp, neighbour := 0, 0
	mac, err := net.ParseMAC(sandbox.AppMAC)
	must(t, err)
	const virtio = 10 // bytes of struct virtio_net_hdr before each frame
	for _, f := range frames {
		f = f[min(virtio, len(f)):]
		if len(f) < 14 || string(f[6:12]) != string(mac) {
			t.Errorf("a frame from elsewhere: %x", f[:min(len(f), 20)])
			continue
		}
		switch {
		case f[12] == 8 && f[13] == 6:
			arp++
		case f[12] == 0x86 && f[13] == 0xdd:
			neighbour++
		}
	}
	if arp == 0 || neighbour == 0 {
		t.Errorf("%d ARP and %d IPv6 frames of %d", arp, neighbour, len(frames))
	}
}
