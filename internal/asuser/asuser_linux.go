package asuser

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where the ids of users begin, and those that are subordinate to them. Tests of
// other packages run meanwhile, as users of their own.
const (
	firstUID = 61000
	uids     = 2000
	firstSub = 0x40000000
	subCount = 65536
)

// Desktop says what the user of a test has.
type Desktop struct {
	NoSubIDs  bool
	NoCgroups bool
	NoTun     bool
	Scope     bool // programs are outside of the cgroups until they ask systemd-run
}

// User is an ordinary user.
type User struct {
	UID     int
	Sub     int // the first of its subordinate ids
	Home    string
	Dir     string // of files that lie over the machine's
	t       testing.TB
	d       Desktop
	cgroups []string
}

// New makes a user, or skips where the tools to do so are missing.
func New(t testing.TB, d Desktop) *User {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	for _, tool := range []string{"unshare", "setpriv", "newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs the tool %s (apt-get install util-linux uidmap)", tool)
		}
	}
	dir, err := os.MkdirTemp("", "user") // t.TempDir lies where only root may look
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	slot := (os.Getpid()*7 + int(users.Add(1))) % uids
	u := &User{t: t, d: d, Dir: dir, UID: firstUID + slot, Sub: firstSub + slot*subCount}
	u.Home = filepath.Join(u.Dir, "home")
	for _, dir := range []string{u.Home, filepath.Join(u.Home, "tmp"), filepath.Join(u.Home, "run")} {
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.Chown(dir, u.UID, u.UID))
	}
	must(t, os.Chmod(u.Dir, 0o755))
	u.overlay()
	if !d.NoCgroups {
		u.delegate()
	}
	if d.Scope {
		u.systemd()
	}
	return u
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// overlay writes the files that will lie over those of /etc.
func (u *User) overlay() {
	passwd, err := os.ReadFile("/etc/passwd")
	must(u.t, err)
	line := fmt.Sprintf("tester:x:%d:%d::%s:/bin/sh\n", u.UID, u.UID, u.Home)
	sub := fmt.Sprintf("tester:%d:%d\n", u.Sub, subCount)
	if u.d.NoSubIDs {
		sub = ""
	}
	for name, text := range map[string]string{"passwd": line + string(passwd), "subuid": sub, "subgid": sub} {
		must(u.t, os.WriteFile(filepath.Join(u.Dir, name), []byte(text), 0o644))
	}
}

// limits: the v1 trees that apps are limited by.
func limits(controller string) bool {
	return slices.Contains([]string{"pids", "memory", "cpu", "freezer"}, controller)
}

var users atomic.Int64

// delegate gives the user a cgroup in every tree, as systemd would.
func (u *User) delegate() {
	name := fmt.Sprintf("asuser-%d-%d", os.Getpid(), u.UID)
	raw, err := os.ReadFile("/proc/self/mountinfo")
	must(u.t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		left, right, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if len(fields) < 5 || len(kind) < 3 || !strings.HasPrefix(kind[0], "cgroup") || fields[3] != "/" || seen[right] {
			continue
		}
		if kind[0] == "cgroup" && !slices.ContainsFunc(strings.Split(kind[2], ","), limits) {
			continue // a cpuset, say, takes nobody before it is set up
		}
		seen[right] = true
		dir := filepath.Join(fields[4], name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		u.cgroups = append(u.cgroups, dir)
		entries, err := os.ReadDir(dir)
		must(u.t, err)
		must(u.t, os.Chown(dir, u.UID, u.UID))
		for _, e := range entries {
			if n := e.Name(); n == "tasks" || n == "cgroup.procs" || n == "cgroup.threads" || n == "cgroup.subtree_control" {
				must(u.t, os.Chown(filepath.Join(dir, n), u.UID, u.UID))
			}
		}
	}
	u.t.Cleanup(u.undelegate)
}

// undelegate removes the cgroups, with all that is left in them.
func (u *User) undelegate() {
	for _, dir := range u.cgroups {
		var last error
		for range 200 {
			if last = removeTree(dir); last == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if last != nil {
			u.t.Errorf("cgroup of the user: %v", last)
		}
	}
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeTree(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir))
}

// script, run by root, lays the user's files over the machine's and becomes the
// user. It is given a directory and the command.
const script = `set -e
mount --make-rprivate /
for f in passwd subuid subgid; do if [ -e /etc/$f ]; then mount --bind "$0/$f" /etc/$f; fi; done
mkdir -p "$0/dev"; mount -t tmpfs -o mode=0755 dev "$0/dev"
mknod "$0/dev/tun" c 10 200; chmod $1 "$0/dev/tun"; mount --bind "$0/dev/tun" /dev/net/tun
if [ -e /dev/fuse ]; then mknod -m 0666 "$0/dev/fuse" c 10 229; mount --bind "$0/dev/fuse" /dev/fuse; fi
for c in $2; do echo $$ >$c/cgroup.procs; done
u=$3; shift 3
exec setpriv --reuid=$u --regid=$u --clear-groups --inh-caps=-all -- "$@"`

// systemd makes what the agent sees of a user's systemd: a program that goes into
// a delegated cgroup and becomes another one. The v2 tree, which would want a
// common owner above, is left out.
func (u *User) systemd() {
	tool := fmt.Sprintf(`#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
for c in %s; do echo $$ >$c/cgroup.procs; done 2>/dev/null
exec "$@"
`, strings.Join(u.cgroups, " "))
	must(u.t, os.Mkdir(filepath.Join(u.Dir, "bin"), 0o755))
	must(u.t, os.WriteFile(filepath.Join(u.Dir, "bin", "systemd-run"), []byte(tool), 0o755))
}

// Daemon is the command line, for root, that runs a program as the user, in the
// user's cgroups.
func (u *User) Daemon(args ...string) []string {
	if u.d.Scope {
		return u.Line(args...)
	}
	return u.line(strings.Join(u.cgroups, " "), args)
}

// Line is the same for a program that stays outside of these cgroups.
func (u *User) Line(args ...string) []string { return u.line("", args) }

func (u *User) line(cgroups string, args []string) []string {
	tun := "0666"
	if u.d.NoTun {
		tun = "0600"
	}
	return append([]string{"unshare", "-m", "sh", "-c", script, u.Dir, tun, cgroups, strconv.Itoa(u.UID)}, args...)
}

// Env is the environment that the user has.
func (u *User) Env() []string {
	return []string{
		"PATH=" + filepath.Join(u.Dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + u.Home, "USER=tester", "TMPDIR=" + filepath.Join(u.Home, "tmp"),
		"XDG_RUNTIME_DIR=" + filepath.Join(u.Home, "run"), fmt.Sprintf("%s=%d %d", selfEnv, u.UID, u.Sub),
	}
}

// selfEnv tells a program of the user who that is, outside.
const selfEnv = "ASUSER"

// Self is that, in such a program.
func Self(t testing.TB) (uid, sub int) {
	t.Helper()
	if _, err := fmt.Sscan(os.Getenv(selfEnv), &uid, &sub); err != nil {
		t.Fatal(err)
	}
	return uid, sub
}

// Command runs a program as the user, in the user's cgroups. The files it needs
// must be readable for all: see Give.
func (u *User) Command(ctx context.Context, args ...string) *exec.Cmd {
	line := u.Daemon(args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = u.Env(), u.Home, 10*time.Second
	return cmd
}

// Give copies a file of the machine to where the user can use it.
func (u *User) Give(path string) string {
	u.t.Helper()
	text, err := os.ReadFile(path)
	must(u.t, err)
	to := filepath.Join(u.Dir, filepath.Base(path))
	must(u.t, os.WriteFile(to, text, 0o755))
	return to
}

// Program is this test program, for the user.
func (u *User) Program() string {
	u.t.Helper()
	self, err := os.Executable()
	must(u.t, err)
	return u.Give(self)
}

// Processes lists those of the user, and of its subordinate ids, that are there.
func (u *User) Processes() []string {
	entries, _ := os.ReadDir("/proc")
	var found []string
	for _, e := range entries {
		var st unix.Stat_t
		if e.Name()[0] < '0' || e.Name()[0] > '9' || unix.Stat(filepath.Join("/proc", e.Name()), &st) != nil {
			continue
		}
		if int(st.Uid) == u.UID || int(st.Uid) >= u.Sub && int(st.Uid) < u.Sub+subCount {
			line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
			found = append(found, e.Name()+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
