package wasi

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/consentry/consentry/wasmhost/abi"
)

// ModuleName is the module that guests import.
const ModuleName = "wasi_snapshot_preview1"

// Bounds of one System.
const (
	DefaultFiles = 1024     // descriptors, standard streams and mounts included
	MaxFiles     = 16 << 10 // that Config.Files may be: each is one of this process as well
	maxArgBytes  = 2 << 20  // arguments and environment together, as execve has
)

// Config is what a System offers to its guest.
type Config struct {
	Args   []string
	Env    []string // "K=V"
	Stdio  Stdio
	Mounts []Mount
	Output int64 // bytes to stdout and stderr together
	Files  int   // descriptors open at once; 0 is DefaultFiles
	// Exceeded is called when a limit is reached that ends the run.
	Exceeded func(limit string)
}

// Mount is a directory of the host, opened at Target.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

// System is the operating system that one guest sees.
type System struct {
	args, env []string
	fds       map[uint32]*descriptor
	maxFDs    int
	free      uint32 // no number from 3 to below it is free
	mounts    []Mount
	began     time.Time // origin of the monotonic clock
	wake      *waker
	output    int64 // bytes left
	limit     int64 // bytes of output in all
	exceeded  func(string)
	stdio     Stdio
}

// New opens the mounts. It takes Stdio over if it returns no error.
func New(c Config) (*System, error) {
	if err := checkArgs(c.Args, c.Env); err != nil {
		return nil, err
	}
	wake, err := newWaker()
	if err != nil {
		return nil, err
	}
	s := &System{
		maxFDs: cmp.Or(min(max(c.Files, 0), MaxFiles), DefaultFiles), free: 3,
		args: c.Args, env: c.Env, fds: map[uint32]*descriptor{}, mounts: c.Mounts,
		began: time.Now(), wake: wake, output: c.Output, limit: c.Output, exceeded: c.Exceeded, stdio: c.Stdio,
	}
	for fd, d := range c.Stdio.descriptors() {
		s.fds[uint32(fd)] = d
	}
	for _, m := range c.Mounts {
		if err := s.mount(m); err != nil {
			s.closeMounts()
			wake.close()
			return nil, err
		}
	}
	return s, nil
}

func checkArgs(lists ...[]string) error {
	total := 0
	for _, list := range lists {
		for _, text := range list {
			total += len(text) + 1
			if strings.ContainsRune(text, 0) {
				return fmt.Errorf("argument or variable %q has a NUL byte", text)
			}
		}
	}
	if total > maxArgBytes {
		return fmt.Errorf("arguments and environment are %d bytes, more than %d", total, maxArgBytes)
	}
	return nil
}

func (s *System) mount(m Mount) error {
	root, err := os.OpenRoot(m.Source)
	if err != nil {
		return fmt.Errorf("mount at %s: %w", m.Target, err)
	}
	_, errno := s.add(&descriptor{
		kind: directory, root: root, preopen: m.Target, readOnly: m.ReadOnly,
		rights: dirRights, inherit: dirRights | fileRights,
	})
	if errno != abi.OK {
		root.Close()
		return fmt.Errorf("mount at %s: more than %d open files with it", m.Target, s.maxFDs)
	}
	return nil
}

// Describe lists the mounts for people.
func (s *System) Describe() string {
	if len(s.mounts) == 0 {
		return "none: the module sees no files"
	}
	parts := make([]string, len(s.mounts))
	for i, m := range s.mounts {
		mode := "read-write"
		if m.ReadOnly {
			mode = "read-only"
		}
		parts[i] = m.Target + " " + mode
	}
	return "os.Root: " + strings.Join(parts, ", ")
}

// Interrupt ends blocked calls now and in future. Any goroutine may call it.
func (s *System) Interrupt() { s.wake.signal() }

// Close closes every file. The guest must have ended.
func (s *System) Close() {
	s.closeMounts()
	s.stdio.Close()
	s.wake.close()
}

func (s *System) closeMounts() {
	for _, d := range s.fds {
		d.close()
	}
	s.fds = nil
}

// functions is preview 1, but for proc_exit, which returns nothing.
func (s *System) functions() []abi.Func {
	return []abi.Func{
		{Name: "args_get", Params: "ii", Run: s.argsGet},
		{Name: "args_sizes_get", Params: "ii", Run: s.argsSizesGet},
		{Name: "clock_res_get", Params: "ii", Run: s.clockResGet},
		{Name: "clock_time_get", Params: "iIi", Run: s.clockTimeGet},
		{Name: "environ_get", Params: "ii", Run: s.environGet},
		{Name: "environ_sizes_get", Params: "ii", Run: s.environSizesGet},
		{Name: "fd_advise", Params: "iIIi", Run: s.fdAdvise},
		{Name: "fd_allocate", Params: "iII", Run: s.fdAllocate},
		{Name: "fd_close", Params: "i", Run: s.fdClose},
		{Name: "fd_datasync", Params: "i", Run: s.fdSync},
		{Name: "fd_fdstat_get", Params: "ii", Run: s.fdFdstatGet},
		{Name: "fd_fdstat_set_flags", Params: "ii", Run: s.fdFdstatSetFlags},
		{Name: "fd_fdstat_set_rights", Params: "iII", Run: s.fdFdstatSetRights},
		{Name: "fd_filestat_get", Params: "ii", Run: s.fdFilestatGet},
		{Name: "fd_filestat_set_size", Params: "iI", Run: s.fdFilestatSetSize},
		{Name: "fd_filestat_set_times", Params: "iIIi", Run: s.fdFilestatSetTimes},
		{Name: "fd_pread", Params: "iiiIi", Run: s.fdPread},
		{Name: "fd_prestat_dir_name", Params: "iii", Run: s.fdPrestatDirName},
		{Name: "fd_prestat_get", Params: "ii", Run: s.fdPrestatGet},
		{Name: "fd_pwrite", Params: "iiiIi", Run: s.fdPwrite},
		{Name: "fd_read", Params: "iiii", Run: s.fdRead},
		{Name: "fd_readdir", Params: "iiiIi", Run: s.fdReaddir},
		{Name: "fd_renumber", Params: "ii", Run: s.fdRenumber},
		{Name: "fd_seek", Params: "iIii", Run: s.fdSeek},
		{Name: "fd_sync", Params: "i", Run: s.fdSync},
		{Name: "fd_tell", Params: "ii", Run: s.fdTell},
		{Name: "fd_write", Params: "iiii", Run: s.fdWrite},
		{Name: "path_create_directory", Params: "iii", Run: s.pathCreateDirectory},
		{Name: "path_filestat_get", Params: "iiiii", Run: s.pathFilestatGet},
		{Name: "path_filestat_set_times", Params: "iiiiIIi", Run: s.pathFilestatSetTimes},
		{Name: "path_link", Params: "iiiiiii", Run: s.pathLink},
		{Name: "path_open", Params: "iiiiiIIii", Run: s.pathOpen},
		{Name: "path_readlink", Params: "iiiiii", Run: s.pathReadlink},
		{Name: "path_remove_directory", Params: "iii", Run: s.pathRemoveDirectory},
		{Name: "path_rename", Params: "iiiiii", Run: s.pathRename},
		{Name: "path_symlink", Params: "iiiii", Run: s.pathSymlink},
		{Name: "path_unlink_file", Params: "iii", Run: s.pathUnlinkFile},
		{Name: "poll_oneoff", Params: "iiii", Run: s.pollOneoff},
		{Name: "proc_raise", Params: "i", Run: s.procRaise},
		{Name: "random_get", Params: "ii", Run: s.randomGet},
		{Name: "sched_yield", Params: "", Run: s.schedYield},
		{Name: "sock_accept", Params: "iii", Run: s.sockAccept},
		{Name: "sock_recv", Params: "iiiiii", Run: s.sockAny},
		{Name: "sock_send", Params: "iiiii", Run: s.sockAny},
		{Name: "sock_shutdown", Params: "ii", Run: s.sockAny},
	}
}

// Offers tells whether preview 1 has a function of that name.
func Offers(name string) bool {
	if name == "proc_exit" {
		return true
	}
	for _, f := range (*System)(nil).functions() {
		if f.Name == name {
			return true
		}
	}
	return false
}

// Instantiate makes those functions of s available to the modules of engine
// that names has.
func Instantiate(ctx context.Context, engine wazero.Runtime, s *System, names []string) error {
	b := engine.NewHostModuleBuilder(ModuleName)
	abi.Export(b, s.functions(), names)
	b.NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(procExit), []api.ValueType{api.ValueTypeI32}, nil).
		Export("proc_exit")
	_, err := b.Instantiate(ctx)
	return err
}

// procExit ends the guest. Only the low byte of a code would arrive, so that
// 256 would look like success: larger codes become 255.
func procExit(_ context.Context, _ api.Module, stack []uint64) {
	panic(sys.NewExitError(min(uint32(stack[0]), 255)))
}
