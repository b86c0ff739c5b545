package sandbox

import (
	"context"
	"os"
)

// MaxAsks bounds the places of one run that may be asked for.
const MaxAsks = 8

// Ask is a place inside that is seen by its name and is empty until the app is
// given a folder there: its first touch asks.
type Ask struct {
	Name   string `json:"name"`   // what the user is asked about: "docs", "docs/letters"
	Target string `json:"target"` // inside, absolute, clean
}

// Part is a file or folder below one that is given, with other rights than what
// is around it. One that may not be read is closed.
type Part struct {
	Path  string `json:"path"` // slash-separated, relative to the folder
	Read  bool   `json:"read,omitempty"`
	Write bool   `json:"write,omitempty"`
}

// Folder is a folder of the host that an app is given while it runs.
type Folder struct {
	Source string `json:"source"` // absolute, links resolved
	Write  bool   `json:"write,omitempty"`
	Parts  []Part `json:"parts,omitempty"`
}

// Taken is what became of those who used a folder that was taken back.
type Taken struct {
	Open   int  `json:"open,omitempty"`   // files of it that were open
	Ended  int  `json:"ended,omitempty"`  // processes that had one mapped, and were ended
	Cut    bool `json:"cut,omitempty"`    // the kernel refuses the open files too
	Paused bool `json:"paused,omitempty"` // the app is held, as it could go on with them
}

// FolderGiver is an Instance that can be given folders while it runs.
type FolderGiver interface {
	// Placeholders are the files on which the kernel tells of touches of the
	// places of Spec.Asks, in that order; none where the Host hears of touches
	// itself, and asks its Broker. They are handed over once: until then touches wait.
	Placeholders(context.Context) ([]*os.File, error)
	// GiveFolder puts a folder at an Ask's target.
	GiveFolder(ctx context.Context, target string, f Folder) error
	// TakeFolder takes away what lies at target, given at the start or later.
	TakeFolder(ctx context.Context, target string) (Taken, error)
}

// Asker is a Host whose apps may ask for folders.
type Asker interface {
	// CanAsk names what is missing; nil means that Spec.Asks may be used.
	CanAsk() error
}
