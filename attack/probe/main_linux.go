// Program probe runs inside a sandbox and tries one attack, named by its first
// argument; further arguments, "key=value", tell what to aim at. Each attempt
// is a line of JSON on standard output.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

// probe is one run of this program.
type probe struct {
	name    string
	targets map[string]string
	out     *json.Encoder
}

// attacks are the probes by name.
var attacks map[string]func(*probe)

func main() {
	attacks = map[string]func(*probe){
		"namespaces": (*probe).namespaces, "mounts": (*probe).mounts, "handles": (*probe).handles,
		"release-agent": (*probe).releaseAgent, "kernel-knobs": (*probe).kernelKnobs, "kernel-files": (*probe).kernelFiles,
		"devices": (*probe).devices, "other-memory": (*probe).otherMemory, "pidfd": (*probe).pidfd,
		"kill-all": (*probe).killAll, "kill-init": (*probe).killInit, "bpf": (*probe).bpf, "perf": (*probe).perf,
		"userfaultfd": (*probe).userfaultfd, "keys": (*probe).keys, "io-uring": (*probe).ioUring, "modules": (*probe).modules,
		"foreign-calls": (*probe).foreignCalls, "tiocsti": (*probe).tiocsti, "memfd": (*probe).memfd, "setuid": (*probe).setuid,
		"inherited": (*probe).inherited, "overwrite": (*probe).overwrite, "magic-links": (*probe).magicLinks,
		"abstract": (*probe).abstract, "host-sockets": (*probe).hostSockets, "vsock": (*probe).vsock, "raw": (*probe).raw,
		"families": (*probe).families, "fork-bomb": (*probe).forkBomb, "memory-bomb": (*probe).memoryBomb, "exhaustion": (*probe).exhaustion,
		"root-power": (*probe).rootPower, "bounded": (*probe).bounded, "shared-socket": (*probe).sharedSocket,
		"argument-races": (*probe).argumentRaces, "share-escape": (*probe).shareEscape, "disk-full": (*probe).diskFull,
		"event-flood": (*probe).eventFlood, "beacon": (*probe).beacon,
		"status": (*probe).status, "i386": (*probe).i386, "sleep": (*probe).sleep,
	}
	maps.Copy(attacks, networkAttacks())
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: probe NAME [key=value]")
		os.Exit(2)
	}
	p := &probe{name: os.Args[1], targets: map[string]string{}, out: json.NewEncoder(os.Stdout)}
	for _, arg := range os.Args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		p.targets[key] = value
	}
	attacks[p.name](p)
}

// tell reports an attempt that is not judged by an errno.
func (p *probe) tell(try, result string) {
	if err := p.out.Encode(attack.Attempt{Probe: p.name, Try: try, Result: result}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// try reports an attempt by its error.
func (p *probe) try(what string, err error) { p.tell(what, nameOf(err)) }

func nameOf(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return attack.Done
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// call makes a system call and reports it. What it would open stays open: an
// attack that works has no manners.
func (p *probe) call(what string, nr uintptr, args ...uintptr) {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno == 0 {
		p.tell(what, attack.Done)
		return
	}
	p.try(what, errno)
}

// open reports an open; an open that works on /dev/null is a mask.
func (p *probe) open(what, path string, flags int) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		p.try(what, err)
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
		p.tell(what, attack.Masked)
		return
	}
	p.tell(what, attack.Done)
}

// write reports a write of text to a file that is there already.
func (p *probe) write(what, path, text string) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	p.try(what, err)
}

// outsider is the PID, on the host, of a process that is not ours. Inside it
// names nobody.
func (p *probe) outsider() int {
	pid, err := strconv.Atoi(p.targets["pid"])
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe: no pid= to aim at")
		os.Exit(2)
	}
	return pid
}

// statusOf reads one line of a /proc/PID/status.
func statusOf(pid, key string) string {
	raw, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return nameOf(err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, found := strings.CutPrefix(line, key+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return "no " + key
}
