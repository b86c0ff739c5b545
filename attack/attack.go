package attack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Attempt is one thing a probe tried, as the probe program reports it: a line
// of JSON.
type Attempt struct {
	Probe  string `json:"probe"`
	Try    string `json:"try"`
	Result string `json:"result"` // the name of the errno, "done", or a word of the probe's own
}

// Probe is one attack.
type Probe struct {
	Row  int    // of the threat table
	Name string // the probe program's argument
	User sandbox.User
	// Limits for probes that use something up.
	Limits sandbox.Limits
	// Grants are what the user has allowed before, in words of the targets.
	Grants []string
	// Own is a folder of the host at /own that the app may write to. Such an app
	// has fewer system calls.
	Own bool
	// Want is every attempt, with the results that mean the wall held.
	Want map[string][]string
	// Exit is how the program must end; the zero value is success.
	Exit sandbox.Exit
}

// Report is what came of a probe.
type Report struct {
	Attempts []Attempt
	Exit     sandbox.Exit
	Stderr   string
}

// Bounds of what a probe may take.
const (
	maxOutput = 1 << 20 // bytes
	maxTime   = 60 * time.Second
)

// ProbePath is where the probe program lies inside.
const ProbePath = "/probe"

// AllCapabilities is the attribute security.capability of a file that would
// give every one, permitted and effective (version 2 of linux/capability.h).
func AllCapabilities() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	for range 2 {
		b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
		b = binary.LittleEndian.AppendUint32(b, 0)
	}
	return b
}

// Run carries a probe out in the sandbox that spec describes; spec's process
// is replaced. targets tells the probe what to aim at ("pid=4711").
func Run(ctx context.Context, host sandbox.Host, spec sandbox.Spec, broker sandbox.Broker, p Probe, targets []string) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	stdout, outEnd, err := os.Pipe()
	if err != nil {
		return Report{}, err
	}
	defer stdout.Close()
	stderr, errEnd, err := os.Pipe()
	if err != nil {
		return Report{}, errors.Join(err, outEnd.Close())
	}
	defer stderr.Close()
	spec.Limits = p.Limits
	spec.Process = sandbox.Process{
		Args: append([]string{ProbePath, p.Name}, targets...), Env: []string{"PATH=/bin"},
		User: p.User, Stdio: [3]*os.File{nil, outEnd, errEnd},
	}
	out, complaint := readAll(stdout), readAll(stderr)
	app, err := host.Start(ctx, spec, broker)
	if err != nil {
		return Report{}, fmt.Errorf("probe %s: %w", p.Name, err)
	}
	exit, err := app.Wait(ctx)
	if err != nil {
		return Report{}, errors.Join(fmt.Errorf("probe %s: %w", p.Name, err), app.Stop(context.WithoutCancel(ctx)))
	}
	attempts, err := Parse(<-out)
	return Report{attempts, exit, string(<-complaint)}, err
}

// readAll reads to the end but keeps a bounded part.
func readAll(r io.Reader) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		var kept bytes.Buffer
		//nolint:errcheck // what came is judged
		io.Copy(&kept, io.LimitReader(r, maxOutput))
		//nolint:errcheck // so that the writer does not wait
		io.Copy(io.Discard, r)
		all <- kept.Bytes()
	}()
	return all
}

// Parse reads what the probe program wrote.
func Parse(output []byte) ([]Attempt, error) {
	var attempts []Attempt
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		var a Attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, fmt.Errorf("the probe says %q: %w", lines.Text(), err)
		}
		attempts = append(attempts, a)
	}
	return attempts, nil
}

// Judge returns what went wrong; nil means that every wall held.
func (p Probe) Judge(r Report) error {
	var errs error
	if r.Exit.Code != p.Exit.Code || r.Exit.OOM != p.Exit.OOM {
		errs = fmt.Errorf("ended with %+v, want %+v; it says %q", r.Exit, p.Exit, r.Stderr)
	}
	tried := map[string]bool{}
	for _, a := range r.Attempts {
		tried[a.Try] = true
		want, known := p.Want[a.Try]
		switch {
		case !known:
			errs = errors.Join(errs, fmt.Errorf("%s: nobody expects this attempt", a.Try))
		case !slices.Contains(want, a.Result):
			errs = errors.Join(errs, fmt.Errorf("%s: %s, want %s", a.Try, a.Result, strings.Join(want, " or ")))
		}
	}
	for try := range p.Want {
		if !tried[try] {
			errs = errors.Join(errs, fmt.Errorf("%s: was not tried", try))
		}
	}
	return errs
}
