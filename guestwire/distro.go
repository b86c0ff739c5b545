package guestwire

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// Names that a host and guestinit share where the guest is a WSL distro, whose
// kernel and first process are Microsoft's.
const (
	// DistroProgram is guestinit in the distro. /init is Microsoft's there.
	DistroProgram = "/consentry/guest"
	// DistroPart is the first argument of the program there, and one of the
	// following is the second.
	DistroPart = "wsl"
	// DistroRunPart runs an app; its standard files are the connection. More
	// arguments are DistroRun's.
	DistroRunPart = "run"
	// DistroLayersPart lists the layers that the distro has, one a line.
	DistroLayersPart = "layers"
	// DistroPutPart keeps standard input as the layer with the name and the
	// length in bytes that follow.
	DistroPutPart = "put"
	// DistroDropPart removes the layers that are named.
	DistroDropPart = "drop"
	// DistroDigestPart prints the SHA-256 of the program, in hex.
	DistroDigestPart = "digest"
	// DistroRenewPart puts standard input in the program's place; its SHA-256
	// and its length in bytes follow.
	DistroRenewPart = "renew"

	// Where the distro keeps what outlives a run: ext4 images of layers, the
	// writable layers, the volumes.
	DistroLayers  = "/var/lib/consentry/layers"
	DistroRuns    = "/var/lib/consentry/runs"
	DistroVolumes = "/var/lib/consentry/volumes"
)

// DistroRun says what guestinit puts together for one app in a distro, on its
// command line: there is a guestinit for each app.
type DistroRun struct {
	ID      string   // of the run
	Layers  []string // names of ext4 images, lowest first
	Keep    bool     // what the app writes outlives the run
	Volumes []string // names of volumes; the n-th is Given(n)
}

// MaxDistroNames bounds the layers and the volumes of one run.
const MaxDistroNames = 128

var distroName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)

// CheckDistroName refuses what is no name of a layer, a volume or a run: it
// becomes a file's.
func CheckDistroName(name string) error {
	if !distroName.MatchString(name) {
		return fmt.Errorf("%w: %q is no name in a distro: want small letters, digits, and . _ - between them", sandbox.ErrInvalid, name)
	}
	return nil
}

// Check says what is wrong with it.
func (r DistroRun) Check() error {
	errs := CheckDistroName(r.ID)
	if len(r.Layers) == 0 || len(r.Layers) > MaxDistroNames || len(r.Volumes) > MaxDistroNames {
		errs = errors.Join(errs, fmt.Errorf("%w: a run of %d layers and %d volumes", sandbox.ErrInvalid, len(r.Layers), len(r.Volumes)))
	}
	for _, names := range [][]string{r.Layers, r.Volumes} {
		for _, name := range names {
			errs = errors.Join(errs, CheckDistroName(name))
		}
	}
	return errs
}

// Args are r as arguments after DistroRunPart. None of them needs quoting, by
// any shell's rules.
func (r DistroRun) Args() []string {
	args := []string{"-id", r.ID}
	for _, name := range r.Layers {
		args = append(args, "-layer", name)
	}
	for _, name := range r.Volumes {
		args = append(args, "-volume", name)
	}
	if r.Keep {
		args = append(args, "-keep")
	}
	return args
}

// ParseDistroRun is the reverse of Args.
func ParseDistroRun(args []string) (r DistroRun, err error) {
	flags := flag.NewFlagSet(DistroRunPart, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&r.ID, "id", "", "")
	flags.Var((*names)(&r.Layers), "layer", "")
	flags.Var((*names)(&r.Volumes), "volume", "")
	flags.BoolVar(&r.Keep, "keep", false, "")
	if err := flags.Parse(args); err != nil {
		return r, fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if flags.NArg() > 0 {
		return r, fmt.Errorf("%w: %q is no flag of a run", sandbox.ErrInvalid, flags.Arg(0))
	}
	return r, r.Check()
}

// names is a flag that may be given more than once.
type names []string

func (n *names) String() string { return strings.Join(*n, " ") }

func (n *names) Set(name string) error {
	*n = append(*n, name)
	return nil
}
