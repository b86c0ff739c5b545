package wsl

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

// Config is what a Driver needs.
type Config struct {
	WSL   string // the program; "wsl.exe"
	Guest string // consentry-guest, for Linux
	Dir   string // where the distro's disk lies; the agent's own
	Log   *slog.Logger
}

// Driver starts a guestinit for each app.
type Driver struct {
	config Config

	mu       sync.Mutex
	prepared bool // the distro is there, and ours
	swept    bool // of layers that nobody has any more
}

// New returns a Driver. It touches nothing until Check or Boot.
func New(config Config) *Driver {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Driver{config: config}
}

// Name is "wsl".
func (*Driver) Name() string { return "wsl" }

// SystemKernel is true: the kernel is Microsoft's.
func (*Driver) SystemKernel() bool { return true }

// Check names every missing part and its remedy. It makes no distro.
func (d *Driver) Check(ctx context.Context) error {
	if _, err := exec.LookPath(d.config.WSL); err != nil {
		return errNoWSL(err)
	}
	_, _, errs := readProgram(d.config.Guest)
	out, err := d.call(ctx, callTime, nil, "--version")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	errs = errors.Join(errs, checkVersions(out, err))
	if _, err := d.call(ctx, callTime, nil, "--status"); errors.Is(err, sandbox.ErrNotSupported) {
		errs = errors.Join(errs, err) // others are about the user's own distros
	}
	return errs
}

// Boot starts a guestinit for the app of c.
func (d *Driver) Boot(ctx context.Context, c vmhost.Config) (vmhost.Machine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.ready(ctx); err != nil {
		return nil, err
	}
	run, err := d.runOf(ctx, c.Spec)
	if err != nil {
		return nil, err
	}
	return d.start(run)
}

// runOf brings what the app is made of into the distro, and names it.
func (d *Driver) runOf(ctx context.Context, spec sandbox.Spec) (run guestwire.DistroRun, err error) {
	run = guestwire.DistroRun{ID: spec.ID, Keep: spec.Image.Upper != ""}
	for _, m := range spec.Mounts {
		if !m.Volume {
			return run, fmt.Errorf("%w: folders of Windows are not shown to apps in WSL (%s): use a volume", sandbox.ErrNotSupported, m.Source)
		}
		run.Volumes = append(run.Volumes, volumeName(m.Source))
	}
	if run.Layers, err = d.bring(ctx, spec.Image.Lower); err != nil {
		return run, err
	}
	return run, run.Check()
}

// volumeName is what a volume is called in the distro: by its folder on Windows,
// in which nothing is.
func volumeName(source string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(filepath.Clean(source))))
	const enough = 16
	return hex.EncodeToString(sum[:enough])
}

// start runs wsl.exe with pipes for the connection.
func (d *Driver) start(run guestwire.DistroRun) (*machine, error) {
	in, ourIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourOut, out, err := os.Pipe()
	if err != nil {
		closeAll(in, ourIn)
		return nil, err
	}
	m := &machine{control: connection{ourOut, ourIn}, log: d.config.Log, run: run.ID, Ending: vmhost.NewEnding()}
	// It outlives the call that starts it.
	m.cmd = d.command(context.Background(), inDistro(append([]string{guestwire.DistroRunPart}, run.Args()...)...)...)
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr = in, out, &m.said
	m.cmd.WaitDelay = time.Second
	err = m.cmd.Start()
	closeAll(in, out)
	if err != nil {
		closeAll(ourIn, ourOut)
		return nil, explain(guestwire.DistroRunPart, err, "")
	}
	go m.await()
	return m, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// connection is the standard files of a process.
type connection struct{ from, to *os.File }

func (c connection) Read(p []byte) (int, error)  { return c.from.Read(p) }
func (c connection) Write(p []byte) (int, error) { return c.to.Write(p) }

// Close closes our end of its input first: it reads an end, leaves, and a read
// of its output that waits comes back.
func (c connection) Close() error { return errors.Join(c.to.Close(), c.from.Close()) }

// machine is one wsl.exe and the guestinit at its other end.
type machine struct {
	*vmhost.Ending
	cmd     *exec.Cmd
	control connection
	log     *slog.Logger
	run     string
	said    lastWords
}

func (m *machine) await() {
	err := m.cmd.Wait()
	if said := m.said.text(); said != "" {
		m.log.Debug("a guest in WSL said", "run", m.run, "text", said)
	}
	if err != nil {
		err = explain(guestwire.DistroRunPart, err, m.said.text())
	}
	m.Over(err)
}

func (m *machine) Control() io.ReadWriteCloser { return m.control }

// Card is none: the guest has it.
func (*machine) Card() *os.File { return nil }

// leaveTime is how long a guest that was hung up on may take to go by itself,
// taking its app along. wsl.exe is only a window on it.
const leaveTime = 5 * time.Second

// Kill hangs up, which ends the guest, and then ends wsl.exe.
func (m *machine) Kill() error {
	m.Doom()
	m.control.Close() //nolint:errcheck // it may be closed
	select {
	case <-m.Gone():
	case <-time.After(leaveTime):
		m.cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-m.Gone()
	}
	return nil
}

// Walls says what does not stand here.
func (*machine) Walls(context.Context) ([]sandbox.Wall, error) {
	return []sandbox.Wall{{
		Name:   "VM boundary",
		Detail: "none of ours: WSL runs all distros of this user on one kernel in one machine; whoever is root in another distro can look into this one",
	}}, nil
}

// lastWords keeps the end of what is written to it.
type lastWords struct {
	mu  sync.Mutex
	end []byte
}

func (l *lastWords) Write(p []byte) (int, error) {
	const most = 4 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = append(l.end, p...)
	l.end = l.end[max(0, len(l.end)-most)&^1:] // by whole characters of UTF-16
	return len(p), nil
}

func (l *lastWords) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(text(l.end))
}
