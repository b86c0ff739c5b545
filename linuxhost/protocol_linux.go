package linuxhost

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// The calls between the three processes of a run.
//
//	agent                 launcher                  sandbox-init
//	  | ground (maybe long   |                           |
//	  | before the start)    |                           |
//	  | -------------------> | (cgroup, clone, tap)      |
//	  |                      | ground                    |
//	  |                      | ------------------------> | the steps that know no app
//	  | start + stdio, link; |                           |
//	  | go, where it is gated|                           |
//	  | -------------------> |                           |
//	  |                      | files, where there are    |
//	  |                      | many, again               |
//	  |                      | ------------------------> |
//	  |                      | setup + files             |
//	  |                      | ------------------------> | the steps, then the walls
//	  |                      | (reads the walls back,    |
//	  |                      | waits for go)             |
//	  |                      | run + stdio               |
//	  |                      | ------------------------> | the app
//	  | <------------------- | <------------------------ | its number, + pty
//	  | wait, signal, run …  | wait, signal, run …       |
//	  | -------------------> | ------------------------> |
//	  | put + tar            | put + tar                 |
//	  | -------------------> | ------------------------> | files for the app
//	  | resize, posture, kill|                           |
//	  | pause, unpause, stats|                           |
//	  | placeholders, give,  |                           |
//	  | take                 |                           |
//	  | -------------------> |                           |
//
// Either end's hang-up ends everything below it.
const (
	verbStart   = "start"
	verbGo      = "go"
	verbGround  = "ground"
	verbFiles   = "files"
	verbSetup   = "setup"
	verbRun     = "run"
	verbPut     = "put"
	verbWait    = "wait"
	verbSignal  = "signal"
	verbResize  = "resize"
	verbPosture = "posture"
	verbKill    = "kill"
	verbPause   = "pause"
	verbUnpause = "unpause"
	verbStats   = "stats"

	verbPlaceholders = "placeholders"
	verbGive         = "give"
	verbTake         = "take"
)

// appProcess is the number of the app's first process; init counts from it.
const appProcess = 1

// groundCall is what a sandbox is begun with, before anything of an app is there.
type groundCall struct {
	Name     string    `json:"name"` // of its cgroup
	StateDir string    `json:"stateDir"`
	IDBase   uint32    `json:"idBase"`
	Fence    fenceCall `json:"fence"`
	Waived   []string  `json:"waived,omitempty"`
	Guest    *Guest    `json:"guest,omitempty"`
}

// groundOrder is what init is to do before it knows of a run.
type groundOrder struct {
	OwnInterpreters bool `json:"ownInterpreters,omitempty"`
}

// fenceCall says which eBPF programs judge. Their maps are open in the launcher
// from its birth.
type fenceCall struct {
	Judged bool   `json:"judged"`           // false: none
	Pins   string `json:"pins,omitempty"`   // where they are pinned
	Socket string `json:"socket,omitempty"` // of consentry-bpf, where it has them pinned
}

type startCall struct {
	Spec     sandbox.Spec `json:"spec"`
	Ground   groundCall   `json:"ground"`
	NoLSM    string       `json:"noLSM,omitempty"` // why none of them is an LSM program
	Gated    bool         `json:"gated,omitempty"` // the app does not run before go
	Attached attached     `json:"attached"`        // link, then stdio
}

type startReply struct {
	Cgroup uint64 `json:"cgroup,omitempty"` // by which eBPF programs know the app; 0 where none stands
}

// setupCall comes with files, or after them: the trees of the layers, lowest
// first; the tree of the writable layer, its upper and its work directory; the
// trees of the mounts.
type setupCall struct {
	Layers   int               `json:"layers"`
	Upper    bool              `json:"upper,omitempty"`
	Mounts   []mountCall       `json:"mounts,omitempty"`
	Hostname string            `json:"hostname"`
	Files    map[string]string `json:"files"`
	Dir      string            `json:"dir"`
	Memory   int64             `json:"memory"` // bytes that a tmpfs may take
	// MaxProcesses is set where cgroups do not limit: then rlimits do, for each
	// id inside, Memory too.
	MaxProcesses int64 `json:"maxProcesses,omitempty"`
	OneID        bool  `json:"oneID,omitempty"` // no process can have groups of its own
	// NoSetID: no file may be made set-uid, see seccomp.AppNoSetID.
	NoSetID bool `json:"noSetID,omitempty"`
}

type mountCall struct {
	Target   string   `json:"target"`
	Channels []string `json:"channels,omitempty"` // below it, to be covered
	Ask      bool     `json:"ask,omitempty"`      // a placeholder: what it lies on is pinned
}

// giveCall puts a folder at a place that was asked for; without a folder it
// takes away what lies there.
type giveCall struct {
	Target string         `json:"target"`
	Folder sandbox.Folder `json:"folder"`
}

// setupReply comes with the pinned directories, in the order of their mounts.
type setupReply struct {
	Landlock int `json:"landlock"` // ABI, 0 where the kernel has none
}

type runCall struct {
	Process  sandbox.Process `json:"process"`
	Attached attached        `json:"attached"`
}

// putCall comes with the tar stream that init unpacks.
type putCall struct {
	Dir   string       `json:"dir"`
	Owner sandbox.User `json:"owner"`
}

type runReply struct {
	Number int           `json:"number"`
	PID    int           `json:"pid"`              // inside
	Failed *sandbox.Exit `json:"failed,omitempty"` // it was never started
	Text   string        `json:"text,omitempty"`
}

type processCall struct {
	Number int                `json:"number"`
	Signal sandbox.Signal     `json:"signal,omitempty"`
	Size   sandbox.WindowSize `json:"size"`
}

// attached says which of several optional files came with a message.
type attached []bool

// attach returns the files that are there.
func attach(files ...*os.File) (attached, []*os.File) {
	mask := make(attached, len(files))
	var present []*os.File
	for i, f := range files {
		if f != nil {
			mask[i] = true
			present = append(present, f)
		}
	}
	return mask, present
}

// detach puts files back in their places; it takes them over on error too.
func (a attached) detach(want int, files []*os.File) ([]*os.File, error) {
	out := make([]*os.File, want)
	next := 0
	for i, there := range a {
		if there && i < want && next < len(files) {
			out[i] = files[next]
			next++
		}
	}
	if len(a) != want || next != len(files) {
		fdwire.CloseAll(files)
		return nil, fmt.Errorf("%w: message came with %d files for %d places", sandbox.ErrInvalid, len(files), len(a))
	}
	return out, nil
}

func decode(body json.RawMessage, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	return nil
}

// closeSet closes the files that are there.
func closeSet(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
