// Package sandbox is the contract between the agent and whatever runs an app:
// what to run (Spec), where (Host), the running thing (Instance), and the only
// way out of it (Broker). It has no policy and starts nothing itself.
package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// ErrNotSupported is wrapped by errors about something this machine lacks; the
// wrapping text names the missing part and what to do about it.
var ErrNotSupported = errors.New("not supported on this machine")

// Host starts apps of one kind on one kind of machine.
type Host interface {
	Name() string
	// Check names every missing part and its remedy; nil means all walls can stand.
	Check(context.Context) error
	Start(context.Context, Spec, Broker) (Instance, error)
}

// Instance is one running app.
type Instance interface {
	// Wait returns once the app has ended and nothing of it runs any more.
	Wait(context.Context) (Exit, error)
	// Stop sends the stop signal, waits for the grace time, then kills. Idempotent.
	Stop(context.Context) error
	// Posture says which walls stand, read back from the live sandbox.
	Posture(context.Context) (Posture, error)
}

// Surveyor says before any start which of its optional walls this machine can
// raise, and why not.
type Surveyor interface {
	Survey(context.Context) []Wall
}

// Execer runs another process inside a running sandbox, behind the same walls.
type Execer interface {
	Exec(context.Context, Process) (Running, error)
}

// Putter unpacks a tar stream in a directory of a running app, as files of owner.
// The directory is absolute, and has no links in it. Files is taken over. The
// error wraps ErrNoDirectory or ErrPlace where it is the archive's.
type Putter interface {
	Put(ctx context.Context, dir string, owner User, files *os.File) error
}

// Signaler sends a signal to the app's first process.
type Signaler interface {
	Signal(context.Context, Signal) error
}

// Resizer sets the size of the app's terminal.
type Resizer interface {
	Resize(context.Context, WindowSize) error
}

// Pauser holds all processes of the app where they are, and lets them go on.
type Pauser interface {
	Pause(context.Context) error
	Unpause(context.Context) error
}

// Statser says what the app uses now.
type Statser interface {
	Stats(context.Context) (Stats, error)
}

// Stats are of the whole app.
type Stats struct {
	CPU         time.Duration `json:"cpu"` // used since the start
	CPULimit    float64       `json:"cpuLimit"`
	Memory      int64         `json:"memory"` // bytes
	MemoryLimit int64         `json:"memoryLimit"`
	PIDs        int64         `json:"pids"` // processes and threads
	PIDsLimit   int64         `json:"pidsLimit"`
}

// Running is a process started by Exec.
type Running interface {
	Wait(context.Context) (Exit, error)
	Signaler
	Resizer
}

// Signal is a Linux signal number; the guest is always Linux, whatever the host.
type Signal int

// The signals the agent itself sends.
const (
	SIGHUP  Signal = 1
	SIGINT  Signal = 2
	SIGQUIT Signal = 3
	SIGKILL Signal = 9
	SIGTERM Signal = 15
)

// Exit is how a process ended.
type Exit struct {
	Code   int    `json:"code"` // 0–255; 128+n after signal n, as shells do
	OOM    bool   `json:"oom,omitempty"`
	Reason string `json:"reason,omitempty"` // why the sandbox ended it, when it did
}

// WindowSize is in character cells.
type WindowSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Process is what runs inside: the app itself, or an exec.
type Process struct {
	Args     []string   `json:"args"`
	Env      []string   `json:"env"` // complete, "K=V"
	Dir      string     `json:"dir"` // inside; "" is "/"
	User     User       `json:"user"`
	Terminal bool       `json:"terminal,omitempty"`
	Size     WindowSize `json:"size"`
	// Stdio are the host's ends that become fds 0, 1, 2 inside. With Terminal
	// only Stdio[0] (input, host reads nothing from it) and Stdio[1] (output)
	// are used: the host copies between them and the terminal. The host takes
	// them over and closes its copies.
	Stdio [3]*os.File `json:"-"`
}

// User is numeric: names were looked up in the image by whoever made the Spec.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Spec is one app run, complete: a Host adds walls to it and nothing else.
type Spec struct {
	ID       string   `json:"id"` // of the run: [a-z0-9]{12}
	Name     string   `json:"name"`
	Hostname string   `json:"hostname"`
	Process  Process  `json:"process"`
	Image    *Image   `json:"image,omitempty"`  // an OCI app …
	Module   *Module  `json:"module,omitempty"` // … or a wasm app
	Mounts   []Mount  `json:"mounts,omitempty"`
	Asks     []Ask    `json:"asks,omitempty"` // places that may be given later; a Host may not know any
	Limits   Limits   `json:"limits"`
	Stop     StopRule `json:"stop"`
	// Waived are the walls the user chose to do without for this app, see
	// CheckWaived. Without its name here a required wall that is missing ends
	// the start.
	Waived []string `json:"waived,omitempty"`
	// Pinned, where it is not zero: no file of the image is run that changed
	// since then, and none of anywhere else. A Host that cannot see to it says so
	// in its Posture.
	Pinned time.Time `json:"pinned,omitzero"`
	// Link is the socket over which a Host hands the app's network card to the
	// router: one message of fdwire with one fd for Ethernet frames, a tap or a
	// unix socket (router.CardLink).
	Link *os.File `json:"-"`
}

// Image is an unpacked root file system.
type Image struct {
	Lower []string `json:"lower"` // unpacked layers on the host, lowest first, true owners, overlay xattrs in user.*
	Upper string   `json:"upper"` // directory on the host for what the app writes; "" means memory
	Work  string   `json:"work"`
	// IDBase is the first of 65,536 host ids that belong to this app alone:
	// id n inside is IDBase+n outside.
	IDBase uint32 `json:"idBase"`
	// Arch is the processor its programs are for, as Go names it; "" is this
	// machine's.
	Arch string `json:"arch,omitempty"`
	// Files are written by us over what the image has (resolv.conf, hosts, hostname).
	Files map[string]string `json:"files,omitempty"`
}

// Module is a wasm module on the host.
type Module struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Cache  string `json:"cache,omitempty"` // directory for compiled code
	// Call is the function that runs; nil is _start.
	Call *ModuleCall `json:"call,omitempty"`
}

// ModuleCall is one call of a module's function.
type ModuleCall struct {
	Function string `json:"function"`
	// Plugin is Extism's convention: input in, output out. Otherwise the
	// arguments of the process are the function's, as numbers.
	Plugin bool              `json:"plugin,omitempty"`
	Input  []byte            `json:"input,omitempty"`
	Stdin  bool              `json:"stdin,omitempty"` // the input is what standard input gives
	Config map[string]string `json:"config,omitempty"`
}

// Mount is a host directory the user gave to the app.
type Mount struct {
	Source   string `json:"source"` // on the host, absolute, links resolved
	Target   string `json:"target"` // inside, absolute, clean
	ReadOnly bool   `json:"readOnly"`
	Volume   bool   `json:"volume,omitempty"` // a named volume: owned by the app's ids
	Parts    []Part `json:"parts,omitempty"`  // of a folder: what has other rights
}

// Limits of one app; zero means the host's default, never "none".
type Limits struct {
	Memory int64         `json:"memory,omitempty"` // bytes
	CPUs   float64       `json:"cpus,omitempty"`
	PIDs   int64         `json:"pids,omitempty"`
	Wall   time.Duration `json:"wall,omitempty"`   // wasm: time allowed to run
	Output int64         `json:"output,omitempty"` // wasm: bytes to stdout and stderr
	CPU    time.Duration `json:"cpu,omitempty"`    // wasm: processor time allowed
	Files  int           `json:"files,omitempty"`  // wasm: open at once
}

// StopRule is how an app is asked to end.
type StopRule struct {
	Signal Signal        `json:"signal"` // 0 means SIGTERM
	Grace  time.Duration `json:"grace"`  // 0 means 10 s
}

// Posture is the state of every wall of a live sandbox.
type Posture struct {
	Host  string `json:"host"`
	Walls []Wall `json:"walls"`
}

// Wall is one line of a Posture.
type Wall struct {
	Name     string `json:"name"` // "user namespace", "seccomp", …
	Required bool   `json:"required"`
	Stands   bool   `json:"stands"`
	Detail   string `json:"detail,omitempty"` // what was read back, or why it does not stand and what to do
	// Waiver is the name under which the user may do without the wall; "" for
	// most. Waived says that this one is missing and that the user did.
	Waiver string `json:"waiver,omitempty"`
	Waived bool   `json:"waived,omitempty"`
}

// Broker is the only way out of a sandbox, bound to one run of one app. Every
// method blocks while the user decides, and ends with one of the errors of
// this package when there is no yes.
type Broker interface {
	// Dial asks for a flow, resolves its name, checks and pins the address and
	// connects. TCP flows can CloseWrite.
	// Closing the connection ends the flow; a revoked grant resets it.
	Dial(context.Context, Flow) (net.Conn, error)
	// Open asks for data of the user.
	Open(context.Context, DataRequest) (DataReply, error)
	// File asks for a path below a share.
	File(context.Context, FileRequest) error
}

// Flow is one connection or UDP association an app wants.
type Flow struct {
	Network string `json:"network"` // "tcp", "udp", or NetworkPing
	Host    string `json:"host"`    // a name as CanonicalHost returns it, or an IP address
	Port    uint16 `json:"port"`
	Reason  string `json:"reason,omitempty"` // the app's words, if it could say any
	// GrantedOnly: nobody is asked; without a rule that allows it is denied.
	GrantedOnly bool `json:"grantedOnly,omitempty"`
}

// FileRequest is an access below a share.
type FileRequest struct {
	Share string `json:"share"`
	Path  string `json:"path"` // slash-separated, relative to the share
	Write bool   `json:"write"`
}
