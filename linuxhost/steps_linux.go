package linuxhost

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/seccomp"
	"github.com/consentry/consentry/sandbox"
)

// builder carries what the steps of a sandbox share.
type builder struct {
	call     setupCall
	layers   []*os.File
	upper    []*os.File
	mounts   []target
	children *children

	pinned   map[int]*os.File    // below placeholders, by number of the mount
	devices  map[string]*os.File // detached mounts of the host's harmless devices
	stage    *rootFS             // where the kernel's file systems wait
	root     *rootFS             // the app's file system, before it is the root
	landlock int
	filter   seccomp.Filter

	ownInterpreters bool
}

type target struct {
	path     string
	tree     *os.File
	channels []string // sockets and FIFOs of the host in it
	ask      bool
	number   int // in the order they came
}

// accept tells the files of a call apart.
func (b *builder) accept(call setupCall, files []*os.File) error {
	upper := 0
	if call.Upper {
		upper = upperFiles
	}
	if call.Layers < 0 || call.Layers > len(files) || call.Layers+upper+len(call.Mounts) != len(files) {
		return fmt.Errorf("%w: set-up of %d layers and %d mounts came with %d files", sandbox.ErrInvalid, call.Layers, len(call.Mounts), len(files))
	}
	b.call, b.layers, files = call, files[:call.Layers], files[call.Layers:]
	b.upper, files = files[:upper], files[upper:]
	for n, m := range call.Mounts {
		if err := checkChannels(m.Channels); err != nil {
			return err
		}
		b.mounts = append(b.mounts, target{m.Target, files[n], m.Channels, m.Ask, n})
	}
	return nil
}

// step is one line of the set-up; an error bears its name.
type step struct {
	name string
	do   func(*builder) error
}

// groundSteps need to know nothing of the run, and can be done long before it
// is asked for: no file of an image is there yet. What they do to the birth
// thread every process of the app inherits.
var groundSteps = []step{
	{"private mounts", (*builder).privateMounts},
	{"interpreters", (*builder).takeInterpreters},
	{"take devices", (*builder).takeDevices},
	{"scaffold", (*builder).scaffold},
	{"proc", (*builder).mountProc},
	{"sys", (*builder).mountSys},
	{"dev", (*builder).mountDev},
	{"mask", (*builder).maskPaths},
	{"time namespace", (*builder).unshareTime},
	{"leave the host", (*builder).leaveHost},
	{"bounding set", (*builder).cutBoundingSet},
	{"landlock", (*builder).restrictScopes},
	{"seccomp filter", (*builder).compileFilter},
}

// steps build the sandbox on its ground, in this order. Up to "pivot" nothing
// of the app has run, and nothing of the image was executed; after "seccomp"
// nothing more can be mounted, by anybody inside.
var steps = []step{
	{"layers", (*builder).moveLayers},
	{"writable layer", (*builder).moveUpper},
	{"overlay", (*builder).overlay},
	{"kernel file systems", (*builder).moveStage},
	{"shares and volumes", (*builder).moveMounts},
	{"files", (*builder).writeFiles},
	{"working directory", (*builder).makeDir},
	{"host name", (*builder).setHostname},
	{"pivot", (*builder).pivot},
	{"standard streams", (*builder).nullStreams},
	{"no file of the host", (*builder).noHostFiles},
	{"limits", (*builder).setRlimits},
	{"capabilities", (*builder).dropCapabilities},
	{"not dumpable", (*builder).notDumpable},
	{"seccomp", (*builder).seccomp},
}

// do runs steps; an error bears the name of the one that failed.
func (b *builder) do(steps []step) error {
	for _, step := range steps {
		if err := step.do(b); err != nil {
			return fmt.Errorf("sandbox: %s: %w", step.name, err)
		}
	}
	return nil
}

// scaffoldDir is where the parts are put together: a directory that every
// system has, hidden below a tmpfs of ours that nobody else sees.
const scaffoldDir = "/tmp"

// stageDir of the scaffold is where /proc, /sys and /dev are made ready.
const stageDir = "stage"

const safeMount = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// takeInterpreters gives the app's user namespace a list of interpreters of its
// own, which is empty: the namespace has it from the first mount on, whether that
// stays or not (Linux 6.7, fs/binfmt_misc.c).
func (b *builder) takeInterpreters() error {
	if !b.ownInterpreters {
		return nil
	}
	if err := unix.Mount("binfmt_misc", scaffoldDir, "binfmt_misc", safeMount, ""); err != nil {
		return fmt.Errorf("%w: an own binfmt_misc takes Linux 6.7: %w", sandbox.ErrNotSupported, err)
	}
	return unix.Unmount(scaffoldDir, unix.MNT_DETACH)
}

func (b *builder) privateMounts() error {
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// deviceNames are the devices an app gets: none of them is the machine's.
var deviceNames = []string{"null", "zero", "full", "random", "urandom", "tty"}

func (b *builder) takeDevices() error {
	b.devices = map[string]*os.File{}
	for _, name := range deviceNames {
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
		b.devices[name] = os.NewFile(uintptr(fd), name)
	}
	return nil
}

func (b *builder) scaffold() error {
	if err := unix.Mount("scaffold", scaffoldDir, "tmpfs", safeMount, "mode=0700,size=16m"); err != nil {
		return err
	}
	if err := unix.Chdir(scaffoldDir); err != nil {
		return err
	}
	for _, dir := range []string{"l", "u", "root", stageDir} {
		if err := unix.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	if err := unix.Symlink(stageDir+"/proc", "proc"); err != nil { // for procFD
		return err
	}
	stage, err := openRoot(stageDir)
	b.stage = stage
	return err
}

// leaveHost makes the scaffold the root and lets go of the host's file systems:
// while the sandbox waits none of them is there, and the end of a start has only
// the scaffold to let go of.
func (b *builder) leaveHost() error { return pivotHere() }

// pivotHere makes the working directory the root of this namespace, without what
// was the root before.
func pivotHere() error {
	if err := unix.PivotRoot(".", "."); err != nil { // the old root now lies over the new one …
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil { // … and goes
		return fmt.Errorf("detach the old root: %w", err)
	}
	return unix.Chdir("/")
}

// attachTo moves a detached mount to a path below the scaffold and closes it.
func attachTo(tree *os.File, path string) error {
	err := unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	return errors.Join(err, tree.Close())
}

func (b *builder) moveLayers() error {
	if len(b.layers) == 0 {
		return errors.New("the image has no layer")
	}
	for n, tree := range b.layers {
		dir := "l/" + strconv.Itoa(n)
		if err := unix.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if err := attachTo(tree, dir); err != nil {
			return fmt.Errorf("layer %d: %w", n, err)
		}
	}
	return nil
}

// moveUpper attaches the mount of the writable layer, or makes one in memory.
func (b *builder) moveUpper() error {
	if len(b.upper) == 0 {
		options := "mode=0700,size=" + strconv.FormatInt(b.call.Memory, 10)
		if err := unix.Mount("upper", "u", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return err
		}
		return errors.Join(unix.Mkdir("u/upper", 0o755), unix.Mkdir("u/work", 0o755))
	}
	return attachTo(b.upper[0], "u")
}

func (b *builder) overlay() error {
	upper, work := "u/upper", "u/work"
	if len(b.upper) > 0 { // the folders above may bar us: name them by descriptor
		upper, work = procFD(b.upper[1]), procFD(b.upper[2])
		defer closeSet(b.upper[1:])
	}
	var lower []string
	for n := range b.layers {
		lower = append(lower, "l/"+strconv.Itoa(n))
	}
	slices.Reverse(lower) // overlayfs wants the topmost first
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", strings.Join(lower, ":"), upper, work)
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("%d layers are more than mount takes", len(lower))
	}
	if err := unix.Mount("overlay", "root", "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount %s: %w", options, err)
	}
	root, err := openRoot("root")
	b.root = root
	return err
}

// moveStage moves the kernel's file systems, with all that lies over them, to
// their places in the app's file system.
func (b *builder) moveStage() error {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := b.moveStaged(dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return b.stage.close()
}

func (b *builder) moveStaged(dir string) error {
	from, err := b.stage.openOwn(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := b.root.mkdirAll(dir); err != nil {
		return err
	}
	to, err := b.root.openOwn(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	return unix.MoveMount(int(from.Fd()), "", int(to.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

func procFD(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// moveMounts attaches shares and volumes, outer ones first.
func (b *builder) moveMounts() error {
	slices.SortStableFunc(b.mounts, func(x, y target) int { return len(x.path) - len(y.path) })
	for _, m := range b.mounts {
		if err := b.moveInside(m); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return nil
}

func (b *builder) moveInside(m target) error {
	defer m.tree.Close()
	if err := b.root.mkdirAll(m.path); err != nil {
		return err
	}
	dir, err := b.root.openDir(m.path)
	if err != nil {
		return err
	}
	defer dir.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil {
		return err
	}
	if fs.Type == unix.PROC_SUPER_MAGIC || fs.Type == unix.SYSFS_MAGIC {
		return errors.New("leads into /proc or /sys through a link of the image")
	}
	if m.ask {
		if err := b.pin(m.number, dir); err != nil {
			return err
		}
	}
	err = unix.MoveMount(int(m.tree.Fd()), "", int(dir.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return err
	}
	return b.cover(m)
}

// pin keeps the directory that a placeholder will lie on.
func (b *builder) pin(number int, dir *os.File) error {
	own, err := duplicateFD(dir)
	if err != nil {
		return err
	}
	if b.pinned == nil {
		b.pinned = map[int]*os.File{}
	}
	b.pinned[number] = own
	return nil
}

func (b *builder) pinnedInOrder() []*os.File {
	var files []*os.File
	for _, number := range slices.Sorted(maps.Keys(b.pinned)) {
		files = append(files, b.pinned[number])
	}
	return files
}

// isPinned says whether a descriptor is one of them: they are of the app's own
// file system, and are closed before the app runs.
func (b *builder) isPinned(fd int) bool {
	for _, f := range b.pinned {
		if int(f.Fd()) == fd {
			return true
		}
	}
	return false
}

// writeFiles writes ours over the image's, in the writable layer.
func (b *builder) writeFiles() error {
	for name, text := range b.call.Files {
		if err := b.root.mkdirAll(path.Dir(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := b.root.replace(name, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// makeDir makes the working directory when the image has none, as docker does.
func (b *builder) makeDir() error {
	if b.call.Dir == "" {
		return nil
	}
	return b.root.mkdirAll(b.call.Dir)
}

func (b *builder) setHostname() error {
	if b.call.Hostname == "" {
		return nil
	}
	return unix.Sethostname([]byte(b.call.Hostname))
}

// pivot makes the app's file system the root, and lets go of the scaffold.
func (b *builder) pivot() error {
	if err := b.root.chdir(); err != nil {
		return err
	}
	return errors.Join(pivotHere(), b.root.close())
}
