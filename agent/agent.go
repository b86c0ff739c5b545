package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/dial"
	"github.com/consentry/consentry/agent/snapshot"
	"github.com/consentry/consentry/agent/userdata"
	"github.com/consentry/consentry/agent/volume"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/sandbox"
)

// Config is everything the agent is given; nothing is read from the environment.
type Config struct {
	Data    string       // directory of what is kept
	Workers *worker.Pool // for routers; the agent closes it. nil where no image runs
	Version string
	Hold    time.Duration // 0: the engine's default
	Unused  time.Duration // how long a yes for always lasts unused; 0: the engine's default, negative: for ever
	Log     *slog.Logger
	Now     func() time.Time
	Proxies dial.Settings // the user's upstream proxies

	// Keychain of the system for the consent store's key; nil: files.
	Keychain SystemKeychain

	Desktop userdata.Desktop // where actions of apps are done; nil: that of this session

	// Console makes ways into the page for the user's browser; may be nil. The
	// caller closes it.
	Console Console

	Image  sandbox.Host // runs OCI images
	VM     sandbox.Host // runs them in microVMs; nil where it has no driver
	Module sandbox.Host // runs wasm modules
	// Isolation is what runs get that do not say, see api.RunRequest.
	Isolation string
	// Cleanup removes what an agent that was killed has left; may be nil.
	Cleanup func(context.Context) error
	Presets string // folder of the user's own presets; need not exist
	// Registries is the file of the user's settings about registries (package
	// oci); need not exist.
	Registries string
}

// Console is the page for the user's browser.
type Console interface {
	Open(context.Context, api.ConsoleRequest) (api.Console, error)
}

// Agent is the running daemon.
type Agent struct {
	cfg     Config
	started time.Time
	engine  *consent.Engine
	keys    keyPlace
	images  *oci.Store
	modules *moduleStore
	volumes *volume.Store
	signers *signers
	data    *userdata.Service
	dialler *dial.Dialler
	reviews *reviews
	offline *offline

	holds     holds      // images of runs that are being prepared
	importing sync.Mutex // one import at a time, so that what was shown is what is done

	ctx  context.Context // ends when the agent is told to end
	stop context.CancelFunc
	over chan struct{}  // closed when the agent ends itself
	work sync.WaitGroup // supervisors of runs

	closing chan struct{} // closed when the agent begins to end

	bell bell // rung when something has changed

	mu      sync.Mutex
	purging bool            // what is kept goes when the agent ends
	runs    map[string]*run // by id
	lent    map[uint32]bool // slots of sandboxes that wait for a run
}

// Open loads what is kept and cleans up after a crash. The caller holds the
// agent's lock.
func Open(ctx context.Context, cfg Config) (_ *Agent, err error) {
	if _, err := isolationFor(cfg.Isolation, surroundings{}); err != nil {
		return nil, err
	}
	if cfg.Data, err = realDir(cfg.Data); err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, started: cfg.Now(), over: make(chan struct{}), closing: make(chan struct{}), runs: map[string]*run{}, lent: map[uint32]bool{},
		dialler: dial.New(dial.Config{Proxies: cfg.Proxies, Log: cfg.Log}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.closeStores())
		}
	}()
	if err := os.MkdirAll(a.runsDir(), 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if cfg.Cleanup != nil {
		if err := cfg.Cleanup(ctx); err != nil {
			return nil, fmt.Errorf("clean up after the last run: %w", err)
		}
	}
	a.offline = openOffline(filepath.Join(cfg.Data, offlineFile))
	a.keys = findKeys(cfg.Keychain, a.consentDir(), cfg.Log)
	if a.engine, err = consent.Open(ctx, consent.Config{
		Dir: a.consentDir(), Now: cfg.Now, Log: cfg.Log, Hold: cfg.Hold, Unused: cfg.Unused, Keychain: a.keys.Keychain,
	}); err != nil {
		return nil, err
	}
	if a.images, err = oci.OpenStore(filepath.Join(cfg.Data, "images"), cfg.Log); err != nil {
		return nil, err
	}
	if a.signers, err = openSigners(cfg.Data); err != nil {
		return nil, err
	}
	if a.modules, err = openModules(filepath.Join(cfg.Data, "modules")); err != nil {
		return nil, err
	}
	if a.volumes, err = volume.Open(filepath.Join(cfg.Data, volumesDir), cfg.Now); err != nil {
		return nil, err
	}
	if a.data, err = userdata.Open(userdata.Config{Dir: cfg.Data, Log: cfg.Log, Vault: a.keys, Desktop: cfg.Desktop}); err != nil {
		return nil, err
	}
	if a.reviews, err = openReviews(filepath.Join(cfg.Data, "reviews")); err != nil {
		return nil, err
	}
	if err := a.loadRuns(); err != nil {
		return nil, err
	}
	a.ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	if preparer, can := cfg.Image.(sandbox.Preparer); can {
		preparer.KeepReady(lender{a})
	}
	a.work.Go(a.ringForConsent)
	a.note(consent.Event{Event: "agent-start", Detail: cfg.Version})
	return a, nil
}

// realDir makes a directory and returns its path without links: hosts mount
// what is below it, and follow none.
func realDir(dir string) (string, error) {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}

// note writes down what has happened already. With a store that cannot be
// written the agent goes on: it denies everything, and says so.
func (a *Agent) note(e consent.Event) {
	if err := a.engine.Note(e); err != nil {
		a.cfg.Log.Error("not in the ledger", "event", e.Event, "error", err)
	}
}

func (a *Agent) consentDir() string { return filepath.Join(a.cfg.Data, "consent") }

func (a *Agent) runsDir() string { return filepath.Join(a.cfg.Data, "runs") }

func (a *Agent) loadRuns() error {
	records, err := loadRecords(a.runsDir(), a.cfg.Log)
	if err != nil {
		return err
	}
	for _, rec := range records {
		a.engine.RunEnded(rec.ID)
		if rec.cutOff || rec.Request.Remove { // whose end nobody has written down
			a.note(consent.Event{Event: "stop", App: rec.App, Run: rec.ID, Detail: "the agent ended"})
		}
		if rec.Request.Remove {
			if err := removeRun(a.runDir(rec.ID)); err != nil {
				return err
			}
			if err := a.dropVolumes(*rec); err != nil {
				return err
			}
			continue
		}
		if img := rec.Spec.Image; img != nil && img.Upper != "" {
			if err := snapshot.Recover(img.Upper); err != nil {
				a.cfg.Log.Error("a restore that was cut off", "run", rec.ID, "error", err)
			}
		}
		a.runs[rec.ID] = newRun(a, rec)
	}
	return nil
}

// Serve answers the local API on l until ctx ends, then stops every run.
func (a *Agent) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return a.ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	a.startKept()
	served := make(chan struct{})
	var ending sync.WaitGroup
	ending.Go(func() {
		select {
		case <-a.over:
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
			if server.Shutdown(bye) != nil { // streams stay open
				server.Close()
			}
		case <-served:
		}
	})
	err := server.Serve(l)
	close(served)
	ending.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("local API: %w", err)
	}
	return nil
}

const (
	headerTimeout = 10 * time.Second
	goodbye       = time.Second // for answers under way when the agent ends itself
)

// Close stops every run and closes the stores.
func (a *Agent) Close() error {
	close(a.closing)
	for _, r := range a.list() {
		r.end("the agent ended")
	}
	a.work.Wait()
	a.stop()
	a.note(consent.Event{Event: "agent-stop"})
	a.mu.Lock()
	purging := a.purging
	a.mu.Unlock()
	if !purging {
		return errors.Join(a.closeHosts(), a.closeStores())
	}
	return errors.Join(a.forgetSecrets(), a.purgeHosts(), a.closeHosts(), a.closeStores(), removeKept(a.cfg.Data))
}

// closeHosts has the hosts take away what stood above all runs.
func (a *Agent) closeHosts() error {
	var errs error
	if a.cfg.Workers != nil {
		errs = a.cfg.Workers.Close()
	}
	for _, host := range []sandbox.Host{a.cfg.Image, a.cfg.VM, a.cfg.Module} {
		if c, ok := host.(io.Closer); ok {
			errs = errors.Join(errs, c.Close())
		}
	}
	return errs
}

func (a *Agent) closeStores() error {
	var errs []error
	if a.engine != nil {
		errs = append(errs, a.engine.Close())
	}
	if a.images != nil {
		errs = append(errs, a.images.Close())
	}
	if a.volumes != nil {
		errs = append(errs, a.volumes.Close())
	}
	return errors.Join(errs...)
}

// hostOf returns the host for a run.
func (a *Agent) hostOf(rec record) sandbox.Host {
	switch {
	case rec.Format == formatModule:
		return a.cfg.Module
	case rec.inVM():
		return a.cfg.VM
	}
	return a.cfg.Image
}

func (a *Agent) version() api.Version {
	return api.Version{
		Version: a.cfg.Version, API: api.APIVersion, PID: os.Getpid(), Started: a.started,
		OS: goos, Arch: goarch,
	}
}
