package consent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/app"
)

// Config of an engine.
type Config struct {
	Dir  string           // of the store; made with mode 0700
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: none
	Hold time.Duration    // how long a request waits for an answer; 0: 60 s
	// Unused is how long a yes for always lasts that is not used; 0: 90 days,
	// negative: for ever.
	Unused time.Duration
	// Keychain has the store's key; nil: files beside the store.
	Keychain Keychain

	limits limits       // of tests
	step   func(string) // of tests: what the store has come to
}

const (
	defaultHold = 60 * time.Second
	// highEvery is how often the time is saved while a timed rule runs.
	highEvery = 5 * time.Minute
)

// Engine decides. It is safe for use by many goroutines.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	clock  *clock
	store  *store // nil: damaged
	fault  error  // why everything is denied; set by Open only
	grants atomic.Pointer[Grants]

	stop       chan struct{}
	poke       chan struct{} // the rules have changed: look at their times again
	background sync.WaitGroup

	// ruleMu is held while rules change, also over the write to disk, so that
	// the set that is sealed is the set that is used. It comes before mu.
	ruleMu sync.Mutex

	mu       sync.Mutex
	closed   bool
	rules    []Rule              // changes only with ruleMu held as well
	credits  map[askKey]Rule     // late one-time answers, see Answer
	uses     map[string]usage    // by rule
	byID     map[string]*pending // requests that wait, and the inbox
	byApp    map[app.ID]map[askKey]*pending
	shown    map[app.ID]*pending // the one question of each app that is before the user
	echoes   map[echoKey]echo
	known    map[app.ID]known // apps that names are compared with
	traffic  map[app.ID]*traffic
	pauses   map[runKey]*pause
	lessons  lessons // of runs with Ask.Learn
	watchers map[*watcher]struct{}
}

// askKey says which requests are the same one.
type askKey struct {
	app    app.ID
	kind   Kind
	target string
}

func (r Request) key() askKey { return askKey{r.App.ID(), r.Kind, r.Target} }

// Open opens the store in cfg.Dir, or makes it. A damaged store is no error of
// Open: the engine then denies everything, Health says why, and the file stays
// as it is until Reset. An error means that the folder cannot be used at all.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Hold <= 0 {
		cfg.Hold = defaultHold
	}
	if cfg.Keychain == nil {
		cfg.Keychain = Files(cfg.Dir)
	}
	if cfg.Unused == 0 {
		cfg.Unused = defaultUnused
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Dir), 0o700); err != nil {
		return nil, fmt.Errorf("open consent store: %w", err)
	}
	if err := makeFolder(cfg.Dir); err != nil {
		return nil, fmt.Errorf("open consent store: %w", err)
	}
	if err := os.Chmod(cfg.Dir, 0o700); err != nil { //nolint:gosec // a folder needs x
		return nil, fmt.Errorf("open consent store: %w", err)
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log, stop: make(chan struct{}), poke: make(chan struct{}, 1),
		credits: map[askKey]Rule{}, uses: map[string]usage{},
		byID: map[string]*pending{}, byApp: map[app.ID]map[askKey]*pending{},
		shown: map[app.ID]*pending{}, echoes: map[echoKey]echo{}, known: map[app.ID]known{},
		traffic: map[app.ID]*traffic{}, pauses: map[runKey]*pause{}, watchers: map[*watcher]struct{}{},
	}
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context) error {
	nothing, err := NewGrants(nil)
	if err != nil {
		return err
	}
	e.grants.Store(nothing)
	st, found, err := openStore(ctx, e.cfg)
	e.clock = newClock(e.cfg.Now, found.high)
	if err == nil {
		if err = e.adopt(st, found); err == nil {
			e.background.Go(e.keepTime)
			return nil
		}
		_ = st.close()
		err = fmt.Errorf("everything is denied: %w", err)
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("open consent store: %w", ctxErr)
	}
	e.log.Error("consent: everything is denied", "dir", e.cfg.Dir, "err", err)
	e.fault = err
	return nil
}

// adopt takes over what was on disk. The runs of an earlier agent are over, and
// so are the rules for them.
func (e *Engine) adopt(st *store, found state) error {
	e.store = st
	for _, r := range found.rules {
		e.uses[r.ID] = usage{r.ID, toNano(r.Used), r.Uses}
	}
	e.rules = e.stamped(found.rules)
	e.ruleMu.Lock()
	defer e.ruleMu.Unlock()
	gone := func(r Rule) bool { return r.Lifetime == Run || e.expired(r) }
	if err := e.change(gone, nil, nil); err != nil {
		e.store = nil
		return err
	}
	e.adoptInbox(found.inbox)
	return nil
}

func (e *Engine) expired(r Rule) bool { return r.over(e.clock.time()) }

// keepTime ends rules when their time is over, so that open flows are cut, and
// saves the high-water time now and then while it matters.
func (e *Engine) keepTime() {
	for {
		var alarm <-chan time.Time
		if wait, ends := e.nextEnd(); ends {
			alarm = time.After(max(wait, time.Millisecond))
		}
		select {
		case <-e.stop:
			return
		case <-e.poke:
		case <-alarm:
			e.saveTime()
		}
	}
}

// saveTime removes what is over; with timed rules left it saves the time.
func (e *Engine) saveTime() {
	e.ruleMu.Lock()
	defer e.ruleMu.Unlock()
	var err error
	switch timed, over, renewed := e.times(); {
	case timed, over:
		err = e.changeAlways(none, nil, nil)
	case renewed:
		err = e.use(nil, nil, nil)
	}
	if err != nil {
		e.log.Error("consent: the time cannot be saved", "err", err)
	}
}

// nextEnd is how long it is until the times of the rules are looked at again.
func (e *Engine) nextEnd() (wait time.Duration, ends bool) {
	now := e.clock.time()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.rules {
		end, most := e.rules[i].ends(), lapseEvery
		if end.IsZero() {
			continue
		}
		if !e.rules[i].Expires.IsZero() {
			most = highEvery
		}
		if left := min(end.Sub(now), most); !ends || left < wait {
			wait, ends = left, true
		}
	}
	return wait, ends
}

// times says what there is to do: a timed rule runs, a rule is over, a rule was
// used since its end was worked out.
func (e *Engine) times() (timed, over, renewed bool) {
	now := e.clock.time()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, r := range e.stamped(e.rules) {
		timed = timed || !r.Expires.IsZero()
		over = over || r.over(now)
		renewed = renewed || r.Lapses.Sub(e.rules[i].Lapses) >= lapseEvery
	}
	return timed, over, renewed
}

// Close denies what still waits, writes what is queued and closes the store.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	for _, p := range e.byID {
		p.release(func(*waiter) Decision { return refusal(errClosed.Error()) })
		p.prompt.Live = false
	}
	for w := range e.watchers {
		e.dropWatcher(w)
	}
	e.mu.Unlock()
	close(e.stop)
	e.background.Wait()
	if e.store == nil {
		return nil
	}
	e.saveTime()
	return e.store.close()
}

// Health is nil while the engine can decide. Otherwise it says why everything
// is denied, and wraps ErrDamaged if the store is not what was saved.
func (e *Engine) Health() error {
	if e.fault != nil {
		return e.fault
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	if trouble := e.store.trouble.Load(); trouble != nil {
		return *trouble
	}
	return nil
}

// Lookup says what the rules say about r now, without asking and without a
// line in the ledger; false if they say nothing. It is how open flows are
// checked again after Change.Rules: cut what is denied, and what was allowed
// by a rule (Decision.Rule) and is not any more. What was let through once has
// no rule and ends with its flow.
func (e *Engine) Lookup(r Request) (Decision, bool) {
	if e.fault != nil {
		return refusal(e.fault.Error()), true
	}
	target, err := Canonical(r.Kind, r.Target)
	if err != nil {
		return refusal(err.Error()), true
	}
	r.Target = target
	return e.grants.Load().Lookup(r, e.clock.time())
}
