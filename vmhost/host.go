package vmhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// HostConfig is what a Host needs.
type HostConfig struct {
	Driver Driver
	Kernel string // image of the guest's kernel
	Init   string // initramfs with guestinit
	// Others is the folder with both for other processors than this system's: each
	// in a folder of its name (GOARCH), as kernel and initramfs. "" for none.
	Others string
	Log    *slog.Logger
}

// Host runs OCI images, each in a microVM of its own.
type Host struct {
	config HostConfig
	ending sync.WaitGroup
}

// NewHost returns a Host. It touches nothing until Check or Start.
func NewHost(config HostConfig) *Host {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Host{config: config}
}

// Name is "vm/" and the driver's.
func (h *Host) Name() string { return "vm/" + h.config.Driver.Name() }

// Check names every missing part and its remedy.
func (h *Host) Check(ctx context.Context) error {
	return errors.Join(h.config.Driver.Check(ctx), h.checkGuest(runtime.GOARCH))
}

// CheckFor is Check for apps of a processor: sandbox.Image.Arch.
func (h *Host) CheckFor(ctx context.Context, arch string) error {
	if !foreign(arch) {
		return h.Check(ctx)
	}
	emulator, can := h.config.Driver.(Emulator)
	if !can || h.config.Others == "" {
		return fmt.Errorf("%w: a microVM for %s: this driver has those of %s", sandbox.ErrNotSupported, arch, runtime.GOARCH)
	}
	return errors.Join(emulator.CheckEmulated(ctx, arch), h.checkGuest(arch))
}

// foreign says whether a processor is not this system's.
func foreign(arch string) bool { return arch != "" && arch != runtime.GOARCH }

// guestFiles are the files of a guest.
func (h *Host) guestFiles(arch string) (kernel, initramfs string) {
	if foreign(arch) {
		dir := filepath.Join(h.config.Others, arch)
		return filepath.Join(dir, "kernel"), filepath.Join(dir, "initramfs")
	}
	return h.config.Kernel, h.config.Init
}

// checkGuest says which files of a guest are missing.
func (h *Host) checkGuest(arch string) (errs error) {
	kernel, initramfs := h.guestFiles(arch)
	for _, part := range []struct{ what, path string }{{"kernel", kernel}, {"initramfs", initramfs}} {
		if h.systemKernel() {
			break // neither is ours
		}
		info, err := os.Stat(part.path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is no file")
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%w: the guest's %s for %s: %w: install the package consentry-guest, or build it with make guest ARCH=%s", sandbox.ErrNotSupported, part.what, arch, err, arch))
		}
	}
	return errs
}

// systemKernel says whether guests run on the system's kernel.
func (h *Host) systemKernel() bool {
	s, can := h.config.Driver.(SystemKernel)
	return can && s.SystemKernel()
}

// Accelerated says whether machines for a processor have that itself, and not
// one that is emulated: ten times slower.
func (h *Host) Accelerated(arch string) bool {
	f, can := h.config.Driver.(interface{ Accelerated() bool })
	return can && !foreign(arch) && f.Accelerated()
}

// Limits of a machine around an app.
const (
	// defaultMemory of an app whose Spec does not say, in bytes; what it does
	// not use costs the host nothing.
	defaultMemory = 2 << 30
	// guestMemory is for the guest's kernel, guestinit and linuxhost.
	guestMemory = 192 << 20
	// helloTime bounds a boot, on an emulated processor of a busy machine.
	helloTime = 3 * time.Minute
	// startTime bounds the start of the app in a guest that has said hello.
	startTime = 2 * time.Minute
)

func (h *Host) machineConfig(spec sandbox.Spec) Config {
	c := Config{Arch: cmp.Or(spec.Image.Arch, runtime.GOARCH), Memory: spec.Limits.Memory, CPUs: runtime.NumCPU(), Spec: spec}
	c.Kernel, c.Initramfs = h.guestFiles(c.Arch)
	c.Memory += guestMemory
	if spec.Limits.CPUs > 0 {
		c.CPUs = min(c.CPUs, int(math.Ceil(spec.Limits.CPUs)))
	}
	return c
}

// Start boots a machine for spec and returns once the app runs in it. It owns
// spec's files. The broker is asked for the folders of spec.Asks.
func (h *Host) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (sandbox.Instance, error) {
	files := newStandard(spec.Process.Stdio)
	link := spec.Link
	spec.Process.Stdio, spec.Link = [3]*os.File{}, nil
	i, err := h.start(ctx, spec, broker, files, link)
	if err != nil {
		files.close()
		if link != nil {
			link.Close()
		}
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return i, nil
}

func (h *Host) start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker, files *standard, link *os.File) (sandbox.Instance, error) {
	if spec.Image == nil || spec.Module != nil {
		return nil, fmt.Errorf("%w: a microVM runs OCI images", sandbox.ErrInvalid)
	}
	if foreign(spec.Image.Arch) {
		if err := h.CheckFor(ctx, spec.Image.Arch); err != nil {
			return nil, err
		}
	}
	if spec.Limits.Memory <= 0 {
		spec.Limits.Memory = defaultMemory
	}
	folders, err := h.openFolders(spec, broker)
	if err != nil {
		return nil, err
	}
	i, err := h.boot(ctx, machineSpec(spec), folders, files, link)
	if err != nil {
		folders.endServing()
		return nil, err
	}
	h.ending.Go(i.await)
	return i, nil
}

// boot starts a machine, and the app in it.
func (h *Host) boot(ctx context.Context, spec sandbox.Spec, folders *folders, files *standard, link *os.File) (*instance, error) {
	machine, err := h.config.Driver.Boot(ctx, h.machineConfig(spec))
	if err != nil {
		return nil, err
	}
	i, err := h.settle(ctx, machine, spec, folders, files, link)
	if err != nil {
		return nil, errors.Join(err, put(machine))
	}
	return i, nil
}

// put ends a machine that is of no use.
func put(machine Machine) error {
	killed := machine.Kill()
	//nolint:errcheck // it ends with Kill
	machine.Wait(context.Background())
	return killed
}

// settle waits for the guest's hello and has it start the app.
func (h *Host) settle(ctx context.Context, machine Machine, spec sandbox.Spec, folders *folders, files *standard, link *os.File) (*instance, error) {
	card := machine.Card()
	if card != nil {
		if err := connect(card, link); err != nil {
			return nil, err
		}
	}
	booting, stop := context.WithTimeout(ctx, helloTime)
	defer stop()
	peer, hello, err := guestwire.Accept(booting, machine.Control(), nil)
	if err != nil { // a guest that panics closes the connection as it ends
		return nil, errors.Join(err, why(machine))
	}
	h.config.Log.Debug("a guest says hello", "run", spec.ID, "kernel", hello.Kernel, "steps", hello.Steps)
	i := newInstance(machine, peer, spec, folders)
	go i.serve()
	if card == nil {
		err = i.carryFrames(ctx, hello, link)
	}
	if err == nil {
		err = h.begin(ctx, i, hello, spec, files)
	}
	if err != nil {
		peer.Close()
		<-i.served
		i.carrying.Wait()
		return nil, err
	}
	return i, nil
}

// why waits a moment for a machine that is ending, to learn what it said.
func why(machine Machine) error {
	soon, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := machine.Wait(soon); soon.Err() == nil {
		return err
	}
	return nil
}

// begin starts the app in a guest that can raise every wall.
func (h *Host) begin(ctx context.Context, i *instance, hello guestwire.Hello, spec sandbox.Spec, files *standard) error {
	ctx, stop := context.WithTimeout(ctx, startTime)
	defer stop()
	walls := sandbox.Posture{Walls: hello.Walls}
	if h.systemKernel() {
		walls.Waive(spec.Waived)
	}
	if err := walls.Missing(); err != nil {
		return fmt.Errorf("the guest: %w", err)
	}
	if err := i.peer.Call(ctx, guestwire.VerbClock, guestwire.Clock{Now: time.Now()}, nil); err != nil {
		return err
	}
	if err := i.folders.serve(ctx, i.peer); err != nil {
		return fmt.Errorf("folders: %w", err)
	}
	call := guestwire.Start{Spec: guestSpec(spec, i.mounts(), h.systemKernel()), Streams: files.there(), Folders: len(i.places)}
	if err := i.peer.Call(ctx, guestwire.VerbStart, call, nil); err != nil {
		return err
	}
	p, err := i.Posture(ctx)
	if err == nil {
		err = p.Missing()
	}
	if err != nil && !errors.Is(err, sandbox.ErrUnavailable) { // a short app has ended already
		return err
	}
	return i.app.attach(ctx, files)
}

// connect hands the app's card to the router.
func connect(card, link *os.File) error {
	defer card.Close()
	if link == nil {
		return nil
	}
	conn, err := fdwire.FromFile(link)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return errors.Join(conn.Send(struct{}{}, card), conn.Close())
}

// Purge removes what the driver keeps outside of files of ours, for a user who
// wants nothing kept. No app may run.
func (h *Host) Purge(ctx context.Context) error {
	if d, can := h.config.Driver.(Keeper); can {
		return d.Remove(ctx)
	}
	return nil
}

// Close waits for the machines that are ending. No app may run.
func (h *Host) Close() error {
	h.ending.Wait()
	return nil
}
