package linuxhost

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// Names of the walls, as the user sees them.
const (
	wallUser       = "user namespace"
	wallNamespaces = "namespaces"
	wallRoot       = "own root"
	wallNNP        = "no_new_privs"
	wallCaps       = "capabilities"
	wallSeccomp    = "seccomp"
	wallCgroup     = "cgroup limits"
	wallLandlock   = "Landlock"
	wallRouter     = "router"
)

// subject is what is known about one process of a sandbox, read from /proc.
type subject struct {
	pid    int
	status map[string]string
}

func readSubject(pid int) (subject, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return subject{}, err
	}
	s := subject{pid: pid, status: map[string]string{}}
	for line := range strings.Lines(string(raw)) {
		if key, value, found := strings.Cut(line, ":"); found {
			s.status[key] = strings.TrimSpace(value)
		}
	}
	return s, nil
}

// around are the walls that stand with the ground and that the set-up leaves
// alone. The others are seen in the processes themselves.
type around struct {
	user, namespaces, limits, router sandbox.Wall
	programs                         error // why not all eBPF programs are attached
}

// verify is the last check before the app: no required wall may be missing. Init
// is the only process; what stands around it was looked at while it was busy.
func (l *launcher) verify(a around) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.init == nil {
		return errOver
	}
	init, err := readSubject(l.init.pid())
	if err != nil {
		return fmt.Errorf("posture: %w", err)
	}
	posture, err := l.report(a, []subject{init})
	if err != nil {
		return err
	}
	return posture.Missing()
}

// lookAround checks what stands before there is an app: nothing, where the
// sandbox was taken down meanwhile.
func (l *launcher) lookAround() around {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.init == nil {
		return around{}
	}
	return l.around([]subject{{pid: l.init.pid()}})
}

// posture looks at every process of the sandbox from outside.
func (l *launcher) posture() (sandbox.Posture, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.init == nil || l.over || l.group == nil || l.spec.Image == nil {
		return sandbox.Posture{}, errOver
	}
	all, err := l.subjects()
	if err != nil {
		return sandbox.Posture{}, err
	}
	return l.report(l.around(all), all)
}

func (l *launcher) around(all []subject) around {
	limits, limited := l.group.standing(l.spec.Limits)
	return around{
		user:       l.userWall(),
		namespaces: l.namespaceWall(all),
		limits:     sandbox.Wall{Name: wallCgroup, Required: true, Stands: limited && l.allInGroup(all), Detail: limits, Waiver: sandbox.WaiveCgroup},
		router:     networkWall(l.init.pid()),
		programs:   l.verdicts.attached(),
	}
}

// report is all of posture. The caller holds the lock.
func (l *launcher) report(a around, all []subject) (sandbox.Posture, error) {
	p := sandbox.Posture{Host: hostName, Walls: []sandbox.Wall{
		a.user,
		a.namespaces,
		rootWall(l.init.pid()),
		everywhere(all, wallNNP, "NoNewPrivs", "1"),
		l.capabilityWall(all),
		everywhere(all, wallSeccomp, "Seccomp", "2"),
		a.limits,
		l.landlockWall(),
		a.router,
	}}
	p.Walls = append(p.Walls, l.verdicts.walls(l.noLSM, a.programs)...)
	p.Waive(l.spec.Waived)
	if p.Missing() != nil && exiting(l.init.pid()) {
		return sandbox.Posture{}, errOver
	}
	return p, nil
}

// exiting says whether a process has ended or is about to: it has given up its
// namespaces and v1 cgroups already, and runs no code of its own any more.
func exiting(pid int) bool {
	const flag, flags = 0x4, 6 // PF_EXITING; the field, counted after the name
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(raw[bytes.LastIndexByte(raw, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) <= flags {
		return false
	}
	bits, err := strconv.ParseUint(fields[flags], 10, 64)
	return err == nil && bits&flag != 0
}

// subjects are init and everything in the app's cgroup; a process that ends
// meanwhile is none.
func (l *launcher) subjects() ([]subject, error) {
	pids := append([]int{l.init.pid()}, l.group.processes()...)
	if len(l.group.trees) == 0 {
		pids = append(pids, processesBeside(l.init.pid())...)
	}
	slices.Sort(pids)
	var all []subject
	for _, pid := range slices.Compact(pids) {
		s, err := readSubject(pid)
		if gone(err) || strings.HasPrefix(s.status["State"], "Z") {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("posture: %w", err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errOver
	}
	return all, nil
}

// processesBeside finds the processes in the PID namespace of pid, where no
// cgroup tells.
func processesBeside(pid int) []int {
	namespace := func(pid string) string {
		//nolint:errcheck // it may have ended
		at, _ := os.Readlink(filepath.Join("/proc", pid, "ns/pid"))
		return at
	}
	entries, err := os.ReadDir("/proc")
	home := namespace(strconv.Itoa(pid))
	if err != nil || home == "" {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && namespace(e.Name()) == home {
			pids = append(pids, n)
		}
	}
	return pids
}

func everywhere(all []subject, wall, key, want string) sandbox.Wall {
	w := sandbox.Wall{Name: wall, Required: true, Stands: true, Detail: fmt.Sprintf("%s=%s in all %d processes", key, want, len(all))}
	for _, s := range all {
		if s.status[key] != want {
			w.Stands = false
			w.Detail = fmt.Sprintf("%s=%q in process %d, want %s", key, s.status[key], s.pid, want)
		}
	}
	return w
}

// userWall: the ids inside are the app's own ids outside, and no others.
func (l *launcher) userWall() sandbox.Wall {
	w := sandbox.Wall{Name: wallUser, Required: true}
	want := l.ids.fields()
	for _, file := range []string{"uid_map", "gid_map"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", l.init.pid(), file))
		if got := strings.Fields(string(raw)); err != nil || !slices.Equal(got, want) {
			w.Detail = fmt.Sprintf("%s is %v, want %v", file, got, want)
			return w
		}
	}
	w.Stands, w.Detail = true, l.ids.String()
	return w
}

var namespaceFiles = []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}

// namespaceWall: no process shares a namespace with the launcher, and all are
// where init is, unless they went deeper.
func (l *launcher) namespaceWall(all []subject) sandbox.Wall {
	w := sandbox.Wall{Name: wallNamespaces, Required: true}
	for _, s := range all {
		for _, ns := range namespaceFiles {
			ours, err := os.Readlink("/proc/self/ns/" + ns)
			theirs, theirErr := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", s.pid, ns))
			if errors.Is(theirErr, fs.ErrNotExist) {
				continue // it has ended
			}
			if (err != nil || theirErr != nil || ours == theirs) && !exiting(s.pid) {
				w.Detail = fmt.Sprintf("%s namespace of process %d is %q, ours is %q", ns, s.pid, theirs, ours)
				return w
			}
		}
	}
	detail := strings.Join(namespaceFiles, " ")
	if exists("/proc/self/ns/time") {
		if other := l.sharesTime(all); other != 0 {
			w.Detail = fmt.Sprintf("time namespace of process %d is ours", other)
			return w
		}
		detail += " time"
	}
	w.Stands, w.Detail = true, detail+": all its own"
	return w
}

// sharesTime names a process of the app that has the launcher's clocks. Init has
// them, and so has what it is about to start: a process enters the time
// namespace when it executes its program (vfork, time_namespaces(7)).
func (l *launcher) sharesTime(all []subject) int {
	ours, err := os.Readlink("/proc/self/ns/time")
	for _, s := range all {
		if l.runsInit(s.pid) { // looked at first: it may execute meanwhile
			continue
		}
		theirs, theirErr := os.Readlink(fmt.Sprintf("/proc/%d/ns/time", s.pid))
		if (err != nil || theirErr != nil || ours == theirs) && !exiting(s.pid) {
			return s.pid
		}
	}
	return 0
}

// runsInit says whether a process still runs init's program, which no app has.
func (l *launcher) runsInit(pid int) bool {
	own, err := os.Stat(fmt.Sprintf("/proc/%d/exe", l.init.pid()))
	theirs, theirErr := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && theirErr == nil && os.SameFile(own, theirs)
}

// rootWall: the root is our overlay, and no mount of the host's root is left.
func rootWall(pid int) sandbox.Wall {
	w := sandbox.Wall{Name: wallRoot, Required: true}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		w.Detail = err.Error()
		return w
	}
	mounts := 0
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		_, kind, _ := strings.Cut(line, " - ")
		if len(fields) < 5 {
			continue
		}
		mounts++
		if fields[4] == "/" && !strings.HasPrefix(kind, "overlay ") {
			w.Detail = "the root is no overlay: " + strings.TrimSpace(line)
			return w
		}
	}
	w.Stands = mounts > 0
	w.Detail = fmt.Sprintf("overlay, %d mounts in all", mounts)
	return w
}

// capabilityWall: no process has more than the image's root may have, and none
// has any as long as nothing was started as root. A root that becomes another
// user may keep some.
func (l *launcher) capabilityWall(all []subject) sandbox.Wall {
	w := sandbox.Wall{Name: wallCaps, Required: true}
	var most uint64
	for _, c := range rootCapabilities {
		most |= 1 << c
	}
	having := 0
	for _, s := range all {
		sets := map[string]uint64{"CapBnd": most}
		for _, key := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			if l.hadRoot || s.pid == l.init.pid() {
				sets[key] = most
			} else {
				sets[key] = 0
			}
		}
		if detail := s.exceeds(sets); detail != "" {
			w.Detail = detail
			return w
		}
		if s.status["CapPrm"] != noCapabilities && s.pid != l.init.pid() {
			having++
		}
	}
	w.Stands = true
	w.Detail = fmt.Sprintf("%d of %d processes have some, for their own ids only; at most CapPrm=%016x", having, len(all)-1, most)
	return w
}

// noCapabilities is how /proc writes an empty set.
const noCapabilities = "0000000000000000"

// exceeds says which capability set of s holds more than most allows.
func (s subject) exceeds(most map[string]uint64) string {
	for key, allowed := range most {
		has, err := strconv.ParseUint(s.status[key], 16, 64)
		if err != nil || has&^allowed != 0 {
			return fmt.Sprintf("%s=%s in process %d", key, s.status[key], s.pid)
		}
	}
	return ""
}

// allInGroup: every process is where the limits are.
func (l *launcher) allInGroup(all []subject) bool {
	for _, s := range all {
		in, err := cgroupsOf(strconv.Itoa(s.pid))
		if gone(err) {
			continue
		}
		if err != nil {
			return false
		}
		for _, h := range l.group.trees {
			if in.of(h) != filepath.Join(h.home, l.group.path) && !exiting(s.pid) {
				return false
			}
		}
	}
	return true
}

func (l *launcher) landlockWall() sandbox.Wall {
	has := landlockABI()
	w := sandbox.Wall{Name: wallLandlock, Required: has >= landlockScoped, Stands: l.landlock >= landlockScoped}
	switch {
	case w.Stands:
		w.Detail = fmt.Sprintf("ABI %d: signals and abstract sockets end at the sandbox", l.landlock)
	case has == 0:
		w.Detail = "the kernel has no Landlock, or it is not in its lsm= list"
	default:
		w.Detail = fmt.Sprintf("ABI %d knows no scopes, they come with Linux 6.12", has)
	}
	return w
}

// networkWall: beside the loopback there is one card, and its other end is the
// router's.
func networkWall(pid int) sandbox.Wall {
	w := sandbox.Wall{Name: wallRouter, Required: true}
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net/dev"))
	if err != nil {
		w.Detail = err.Error()
		return w
	}
	var cards []string
	for line := range strings.Lines(string(raw)) {
		if name, _, found := strings.Cut(line, ":"); found {
			cards = append(cards, strings.TrimSpace(name))
		}
	}
	for _, card := range cards {
		if card != "lo" && card != sandbox.LinkDevice && !kernelTunnel(card) {
			w.Detail = "an interface " + card + " that is not ours"
			return w
		}
	}
	w.Stands, w.Detail = true, "interfaces: "+strings.Join(cards, ", ")
	return w
}

// kernelTunnel says whether the kernel makes an interface of that name, down
// and without an address, in every new network namespace.
func kernelTunnel(name string) bool {
	return slices.Contains([]string{"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}, name)
}
