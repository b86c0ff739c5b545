package linuxhost

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// wantedControllers are those an app is limited by. The first two are walls:
// without them there is no start.
var wantedControllers = []string{"pids", "memory", "cpu", "freezer"}

var requiredControllers = wantedControllers[:2]

// hierarchy is one mounted tree of cgroups: a v1 tree of some controllers, or
// the v2 tree.
type hierarchy struct {
	mount       string
	home        string   // the cgroup that is ours to divide: "/", or what was delegated
	controllers []string // those of wantedControllers it has
	v2          bool
}

// hierarchies are the trees in which this agent may make cgroups.
func hierarchies() ([]hierarchy, error) {
	all, err := mounted()
	if err != nil || !delegatedOnly() {
		return all, err
	}
	return delegated(all)
}

// mounted reads which trees this machine has mounted.
func mounted() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroups: %w", err)
	}
	defer f.Close()
	var out []hierarchy
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if h, ok := parseHierarchy(lines.Text()); ok && !slices.ContainsFunc(out, h.sameTree) {
			out = append(out, h)
		}
	}
	return out, nil
}

func (h hierarchy) sameTree(other hierarchy) bool {
	return h.v2 == other.v2 && slices.Equal(h.controllers, other.controllers)
}

// parseHierarchy takes a line of mountinfo; its two halves are parted by " - ".
func parseHierarchy(line string) (hierarchy, bool) {
	left, right, found := strings.Cut(line, " - ")
	fields, kind := strings.Fields(left), strings.Fields(right)
	if !found || len(fields) < 5 || len(kind) < 3 || fields[3] != "/" {
		return hierarchy{}, false // a part of a tree that was bound elsewhere has another root
	}
	h := hierarchy{mount: fields[4], home: "/"}
	switch kind[0] {
	case "cgroup2":
		h.v2 = true
		has, err := h.reaching()
		h.controllers = has
		return h, err == nil
	case "cgroup":
		h.controllers = onlyWanted(strings.Split(kind[2], ","))
		return h, len(h.controllers) > 0
	}
	return hierarchy{}, false
}

// reaching are the controllers that reach home in a v2 tree.
func (h hierarchy) reaching() ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(h.at(""), "cgroup.controllers"))
	return onlyWanted(strings.Fields(string(raw))), err
}

func onlyWanted(names []string) []string {
	return slices.DeleteFunc(slices.Clone(wantedControllers), func(c string) bool { return !slices.Contains(names, c) })
}

// at is where a cgroup of ours lies; path is below home.
func (h hierarchy) at(path string) string { return filepath.Join(h.mount, h.home, path) }

// missingControllers returns the required controllers no hierarchy has.
func missingControllers(all []hierarchy) []string {
	return slices.DeleteFunc(slices.Clone(requiredControllers), func(c string) bool {
		return slices.ContainsFunc(all, func(h hierarchy) bool { return slices.Contains(h.controllers, c) })
	})
}

// cgroup is the place of one app run in every hierarchy.
type cgroup struct {
	trees []hierarchy
	path  string // below each mount
}

// stateCgroup is the cgroup above all runs of one state directory, so that two
// agents never clean up each other's.
func stateCgroup(stateDir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(stateDir)))
	return filepath.Join("consentry", hex.EncodeToString(sum[:6]))
}

// newCgroup makes the cgroup of a run, without limits yet. Where the machine has
// no controllers and the user waived them, it is what there is of it.
func newCgroup(call groundCall) (*cgroup, error) {
	trees, err := hierarchies()
	if err != nil {
		return nil, err
	}
	if missing := missingControllers(trees); len(missing) > 0 && !slices.Contains(call.Waived, sandbox.WaiveCgroup) {
		return nil, fmt.Errorf("%w: cgroup controllers %s; to run this app with rlimits only: --waive %s",
			sandbox.ErrNotSupported, strings.Join(missing, ", "), sandbox.WaiveCgroup)
	}
	g := &cgroup{trees: trees, path: filepath.Join(stateCgroup(call.StateDir), call.Name)}
	if err := g.make(); err != nil {
		return nil, errors.Join(err, g.remove())
	}
	return g, nil
}

// complete says whether every required limit has a controller.
func (g *cgroup) complete() bool { return len(missingControllers(g.trees)) == 0 }

func (g *cgroup) make() error {
	for _, h := range g.trees {
		if err := h.mkdir(g.path); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// mkdir makes every level; in v2 a level has a controller only if the one
// above passes it on.
func (h hierarchy) mkdir(path string) error {
	at := h.at("")
	for _, name := range strings.Split(path, "/") {
		if h.v2 {
			for _, c := range h.controllers {
				if err := writeFile(filepath.Join(at, "cgroup.subtree_control"), "+"+c); err != nil {
					return err
				}
			}
		}
		at = filepath.Join(at, name)
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// writeFile writes a control file; it must be there.
func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// dir returns the directory of controller c, and whether it is v2.
func (g *cgroup) dir(c string) (string, bool, bool) {
	for _, h := range g.trees {
		if slices.Contains(h.controllers, c) {
			return h.at(g.path), h.v2, true
		}
	}
	return "", false, false
}

// enter moves this thread in, in every v1 tree, and returns the way back. The
// clone that makes init happens in between, so that init is born inside and its
// cgroup namespace has its root here; in the v2 tree the clone itself puts it
// there. A thread that moves itself does not make the kernel wait for all
// others, as the move of a process does: ten of those took most of a start.
func (g *cgroup) enter() (leave func() error, err error) {
	back, err := cgroupsOf("thread-self")
	if err != nil {
		return nil, err
	}
	leave = func() error {
		var errs error
		for _, h := range g.v1() {
			errs = errors.Join(errs, writeFile(filepath.Join(h.mount, back.of(h), "tasks"), "0"))
		}
		return errs
	}
	for _, h := range g.v1() {
		if err := writeFile(filepath.Join(h.at(g.path), "tasks"), "0"); err != nil {
			return nil, errors.Join(fmt.Errorf("enter cgroup: %w", err), leave())
		}
	}
	return leave, nil
}

func (g *cgroup) v1() []hierarchy {
	return slices.DeleteFunc(slices.Clone(g.trees), func(h hierarchy) bool { return h.v2 })
}

// v2 opens the cgroup in the v2 tree; nil where there is none.
func (g *cgroup) v2() (*os.File, error) {
	for _, h := range g.trees {
		if h.v2 {
			return os.Open(h.at(g.path))
		}
	}
	return nil, nil
}

// membership is /proc/PID/cgroup: controllers of a tree, to path.
type membership map[string]string

func cgroupsOf(pid string) (membership, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("cgroups of %s: %w", pid, err)
	}
	m := membership{}
	for line := range strings.Lines(string(raw)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			m[strings.Join(onlyWanted(strings.Split(parts[1], ",")), ",")] = parts[2]
			if parts[0] == "0" {
				m["v2"] = parts[2]
			}
		}
	}
	return m, nil
}

func (m membership) of(h hierarchy) string {
	if h.v2 {
		return m["v2"]
	}
	return m[strings.Join(h.controllers, ",")]
}

// processes returns every process inside, as seen from the host.
func (g *cgroup) processes() []int {
	var pids []int
	for _, h := range g.trees {
		pids = append(pids, processesIn(h.at(g.path))...)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func processesIn(dir string) []int {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(raw)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

const (
	removeTries = 200
	removePause = 5 * time.Millisecond
)

// remove kills what is left inside and takes the directories away.
func (g *cgroup) remove() error {
	var last error
	for range removeTries {
		for _, pid := range g.processes() {
			//nolint:errcheck // it may have ended by itself
			unix.Kill(pid, unix.SIGKILL)
		}
		last = nil
		for _, h := range g.trees {
			err := os.Remove(h.at(g.path))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				last = fmt.Errorf("remove cgroup: %w", err)
			}
		}
		if last == nil {
			return nil
		}
		last = errors.Join(last, g.thaw())
		time.Sleep(removePause)
	}
	return last
}
