package guestwire

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Names that both ends know things by.
const (
	ControlPort = "consentry.control" // the virtio-serial port, where that carries the connection
	FilesTag    = "consentry"         // the virtio-fs device with the app's files
	FilesDir    = "/files"            // where a guest has them
	FoldersDir  = "/folders"          // where it has those of the user's
)

// LayerName is the name below FilesDir of the layer with that index.
func LayerName(n int) string { return "l/" + strconv.Itoa(n) }

// ImageSuffix is what an ext4 image that is to be mounted as a layer is called
// after, beside the folder that it is mounted on.
const ImageSuffix = ".ext4"

// WritableName is the name below FilesDir of the folder with the writable layer,
// upper and work.
const WritableName = "w"

// GivenName is the name below FilesDir of the mount with that index.
func GivenName(n int) string { return "m/" + strconv.Itoa(n) }

// What a host asks of a guest. Each has a call's body beside it; answers that
// are not named have none.
const (
	VerbFolder   = "folder"  // Folder, before the start: then 9P2000.L, the guest asks
	VerbStart    = "start"   // Start: the app, once
	VerbRun      = "run"     // Run: another process behind its walls; answered by Started
	VerbStream   = "stream"  // Standard: then the bytes of a standard file
	VerbWait     = "wait"    // Which; answered by Ended when the process has ended
	VerbSignal   = "signal"  // Which
	VerbResize   = "resize"  // Which
	VerbPosture  = "posture" // answered by sandbox.Posture
	VerbStats    = "stats"   // answered by sandbox.Stats
	VerbPause    = "pause"
	VerbUnpause  = "unpause"
	VerbClock    = "clock"  // Clock: the host's time, after a pause of the whole machine
	VerbFrames   = "frames" // then the frames of the app's card, as QEMU's -netdev stream has them; see Hello.Frames
	VerbRelay    = "relay"  // Relay; answered by Relayed; the relay ends with the stream
	VerbPowerOff = "poweroff"
)

// AppNumber is the number of the app's own process. Every other is chosen by
// the host.
const AppNumber = 1

// MaxProcesses bounds the processes a host has started and not waited for.
const MaxProcesses = 64

// MaxFolders bounds the folders of the user's that a guest may have.
const MaxFolders = 32

// Folder names a folder of the user's: 0 and up.
type Folder struct {
	Number int `json:"number"`
}

// Check says what is wrong with it.
func (f Folder) Check() error {
	if f.Number < 0 || f.Number >= MaxFolders {
		return fmt.Errorf("%w: folder %d", sandbox.ErrInvalid, f.Number)
	}
	return nil
}

// Start begins the app. Paths in the Spec are the guest's.
type Start struct {
	Spec    sandbox.Spec `json:"spec"`
	Streams Streams      `json:"streams"`
	Folders int          `json:"folders,omitempty"` // that there must be by now
}

// Streams says which of the standard files there are.
type Streams [3]bool

// Run begins another process.
type Run struct {
	Number  int             `json:"number"`
	Process sandbox.Process `json:"process"`
	Streams Streams         `json:"streams"`
}

// Which names a process, and what is for it.
type Which struct {
	Number int                `json:"number"`
	Signal sandbox.Signal     `json:"signal,omitempty"`
	Size   sandbox.WindowSize `json:"size"`
}

// Standard names a standard file of a process: 0, 1 or 2.
type Standard struct {
	Number int `json:"number"`
	File   int `json:"file"`
}

// Check says what is wrong with it.
func (s Standard) Check() error {
	if s.File < 0 || s.File > 2 {
		return fmt.Errorf("%w: standard file %d", sandbox.ErrInvalid, s.File)
	}
	return nil
}

// Ended is how a process ended.
type Ended struct {
	Exit sandbox.Exit `json:"exit"`
	// Drained: all of its output was sent.
	Drained bool `json:"drained,omitempty"`
}

// Check bounds what a guest says of an end.
func (e *Ended) Check() {
	const maxCode = 255
	e.Exit.Code = min(max(e.Exit.Code, 0), maxCode)
	e.Exit.Reason = clean(e.Exit.Reason)
}

// Relay asks a guest that shares a network with others (a WSL distro) to pass on
// what connects to it there to a TCP port of the app.
type Relay struct {
	Port uint16 `json:"port"`
}

// Relayed is where it listens.
type Relayed struct {
	Address netip.AddrPort `json:"address"`
}

// Clock is the host's.
type Clock struct {
	Now time.Time `json:"now"`
}
