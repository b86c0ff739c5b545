package consent

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/faultfs"
)

const crashTargets = 8

func crashTarget(i int) string { return fmt.Sprintf("tcp/h%d.example.com:443", i) }

var crashTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func crashConfig(dir string) Config {
	return Config{
		Dir: dir, Now: func() time.Time { return crashTime }, Log: slog.New(slog.DiscardHandler),
		limits: limits{live: 40, part: 16, parts: 2, reserve: 4096},
	}
}

// verdicts is what an agent of this store would say to each target: one letter
// each of ask, allow (yes) and deny (no).
func verdicts(e *Engine) string {
	var all strings.Builder
	for i := range crashTargets {
		all.WriteString(map[string]string{"ask": "a", "allow": "y", "deny": "n"}[e.Why(demo, "", NetConnect, crashTarget(i)).Verdict])
	}
	return all.String()
}

// act is one step of the story that crashes.
type act func(e *Engine) error

func give(i int, v Verdict) act {
	return func(e *Engine) error {
		_, err := e.Allow(context.Background(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: crashTarget(i), Verdict: v})
		return err
	}
}

// answering has an app ask, and gives the answer while it waits, or late.
func answering(i int, v Verdict, l Lifetime, late bool) act {
	return func(e *Engine) error {
		hold := time.Minute
		if late {
			hold = time.Nanosecond
		}
		done := make(chan Decision, 1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { done <- e.Decide(ctx, asking(crashTarget(i)), Ask{Hold: hold}) }()
		defer func() { cancel(); <-done }()
		if late {
			done <- <-done
		}
		for range 10_000 {
			for _, p := range e.Pending() {
				if p.Request.Target != crashTarget(i) {
					continue
				}
				a := Answer{Request: p.ID, Nonce: p.Nonce, Verdict: v, Lifetime: l, By: "cli"}
				if l == Timed {
					a.For = time.Hour
				}
				return e.Answer(context.Background(), a)
			}
			select {
			case d := <-done: // it could not be asked
				done <- d
				if d.Source != FromHold {
					return fmt.Errorf("not asked: %s", d.Detail)
				}
			default:
			}
			time.Sleep(100 * time.Microsecond)
		}
		return errors.New("no prompt")
	}
}

func use(i int) act {
	return func(e *Engine) error {
		for _, r := range e.Rules("") {
			if r.Target == crashTarget(i) {
				for range 5 {
					e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: r.Target, Rule: r.ID, In: 1, Out: 2})
				}
			}
		}
		return e.Note(Event{Event: "stop", App: demo, Run: "run1"})
	}
}

func revoke(i int) act {
	return func(e *Engine) error {
		for _, r := range e.Rules("") {
			if r.Target == crashTarget(i) {
				_, err := e.Revoke(context.Background(), Selector{ID: r.ID})
				return err
			}
		}
		return nil
	}
}

func crashStory() []act {
	story := []act{
		give(0, Allow), give(1, Deny), answering(2, Allow, Always, false), answering(3, Deny, Once, false), use(0),
		answering(4, Allow, Timed, false), answering(5, Allow, Once, true), revoke(0),
		func(e *Engine) error { // the late yes is spent
			if d := e.Decide(context.Background(), asking(crashTarget(5)), Ask{NoInput: true}); d.Verdict != Allow {
				return errors.New(d.Detail)
			}
			return nil
		},
		give(0, Allow), give(1, Allow), use(1), answering(6, Allow, Run, false),
		func(e *Engine) error { e.RunEnded("run1"); return nil },
		answering(7, Deny, Always, false), give(1, Deny),
	}
	for i := range 30 {
		story = append(story, use(i%crashTargets))
	}
	all := func(e *Engine) error { _, err := e.Revoke(context.Background(), Selector{All: true}); return err }
	return append(story, all, give(1, Allow), answering(0, Allow, Always, false))
}

// told is a story that was told on a file system, with what was true after each act.
type told struct {
	log   []faultfs.Op
	after []string // by act; the first is before all
	reset int      // the act that is the reset
}

// recite tells the story: two agents after each other, a reset, a third agent.
func recite(t *testing.T) told {
	t.Helper()
	mount := t.TempDir()
	f, err := faultfs.Mount(mount)
	if err != nil {
		t.Skipf("needs root and /dev/fuse: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(mount, "consent")
	s := told{after: []string{strings.Repeat("a", crashTargets)}}
	step := func(what func() error, state func() string) {
		f.Mark("begin")
		must(t, what())
		s.after = append(s.after, state())
		f.Mark("done")
	}
	for range 2 {
		e := openWith(t, crashConfig(dir))
		must(t, e.Health())
		for _, act := range crashStory() {
			step(func() error { return act(e) }, func() string { return verdicts(e) })
		}
		must(t, e.Close())
	}
	s.reset = len(s.after) - 1
	step(func() error { _, err := Reset(dir, nil, crashTime); return err }, func() string { return s.after[0] })
	e := openWith(t, crashConfig(dir))
	must(t, e.Health())
	for _, act := range crashStory()[:6] {
		step(func() error { return act(e) }, func() string { return verdicts(e) })
	}
	must(t, e.Close())
	s.log = f.Log()
	return s
}

// crash is one state of the disk, and what may be true in it.
type crash struct {
	name    string
	tree    func() faultfs.Tree
	allowed []string
	reset   bool // within Reset: until its end everything may be denied
}

// crashes gives what the disk may hold at each point of the story, in an order
// that depends on nothing but the seed. A crash's tree must be asked for at once.
func (s told) crashes(seed uint64, visit func(crash)) {
	random := rand.New(rand.NewPCG(seed, 0))
	disk := faultfs.NewDisk(s.log)
	done, inFlight := 0, false
	for k := 0; ; k++ {
		allowed := s.after[done : done+1]
		if inFlight {
			allowed = s.after[done : done+2]
		}
		last := faultfs.Op{}
		if k > 0 {
			last = s.log[k-1]
		}
		s.crashesAt(disk.Loose, k-1, last, random, func(name string, fates map[int]faultfs.Fate, lost []int) {
			tree := func() faultfs.Tree { return disk.Tree(fates, lost) }
			visit(crash{fmt.Sprintf("op %d %s", k, name), tree, allowed, inFlight && done == s.reset})
		})
		if !disk.Advance() {
			return
		}
		if s.log[k].Kind == faultfs.Mark {
			if inFlight = s.log[k].Path == "begin"; !inFlight {
				done++
			}
		}
	}
}

func (s told) crashesAt(loose faultfs.Loose, index int, last faultfs.Op, random *rand.Rand, visit func(string, map[int]faultfs.Fate, []int)) {
	visit("killed", nil, nil)
	lost := map[int]faultfs.Fate{}
	for _, i := range loose.Data {
		lost[i] = faultfs.Fate{Lost: true}
	}
	visit("all lost", lost, nil)
	visit("all lost, folders too", lost, loose.Folder)
	visit("folders lost", nil, loose.Folder)
	for _, i := range loose.Data {
		visit("one lost "+strconv.Itoa(i), map[int]faultfs.Fate{i: {Lost: true}}, nil)
		only := maps.Clone(lost)
		delete(only, i)
		visit("one kept "+strconv.Itoa(i), only, nil)
	}
	if last.Kind == faultfs.Write {
		for _, cut := range tears(len(last.Data)) {
			visit(fmt.Sprintf("torn %v", cut), map[int]faultfs.Fate{index: {Torn: true, From: cut[0], To: cut[1]}}, nil)
		}
	}
	if len(loose.Data)+len(loose.Folder) < 2 { // no new state to be found by chance
		return
	}
	for n := range 4 {
		fates := map[int]faultfs.Fate{}
		for _, i := range loose.Data {
			switch cuts := tears(len(s.log[i].Data)); random.IntN(3) {
			case 0:
				fates[i] = faultfs.Fate{Lost: true}
			case 1:
				if len(cuts) > 0 {
					cut := cuts[random.IntN(len(cuts))]
					fates[i] = faultfs.Fate{Torn: true, From: cut[0], To: cut[1]}
				}
			}
		}
		visit("random "+strconv.Itoa(n), fates, loose.Folder[random.IntN(len(loose.Folder)+1):])
	}
}

// tears are the parts of a write that a crash may leave: some sectors from its
// begin or end, or bytes.
func tears(size int) (cuts [][2]int) {
	for _, at := range []int{1, 24, 512, 1024, 2048, 3584, size - 1} {
		if at > 0 && at < size {
			cuts = append(cuts, [2]int{0, at}, [2]int{at, size})
		}
	}
	return cuts
}

// fingerprint tells states apart.
func fingerprint(seed maphash.Seed, tree faultfs.Tree, allowed []string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, name := range slices.Sorted(maps.Keys(tree.Files)) {
		fmt.Fprintf(&h, "%s %d ", name, len(tree.Files[name]))
		_, _ = h.Write(tree.Files[name])
	}
	fmt.Fprint(&h, tree.Folders, allowed)
	return h.Sum64()
}

// lay puts the state on a real disk.
func lay(tree faultfs.Tree, dir string) error {
	for _, folder := range tree.Folders {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	for name, content := range tree.Files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// found is what became of a state.
type found uint8

const (
	foundOld found = iota
	foundNew
	foundDenied
)

// reopen opens the state and holds it against what may be true in it.
func (c crash) reopen(dir string) (found, error) {
	e, err := Open(context.Background(), crashConfig(filepath.Join(dir, "consent")))
	if err != nil {
		return 0, err
	}
	defer e.Close()
	got := verdicts(e)
	if e.Health() != nil {
		if got != strings.Repeat("n", crashTargets) || len(e.Rules("")) != 0 {
			return 0, fmt.Errorf("damaged, and yet %s", got)
		}
		return foundDenied, nil
	}
	if !slices.Contains(c.allowed, got) {
		return 0, fmt.Errorf("says %s, may say %v", got, c.allowed)
	}
	targets := map[string]bool{}
	for _, r := range e.Rules("") {
		if targets[r.Target] {
			return 0, fmt.Errorf("two rules for %s", r.Target)
		}
		targets[r.Target] = true
	}
	if _, err := e.VerifyLog(context.Background()); err != nil {
		return 0, fmt.Errorf("the ledger does not fit: %w", err)
	}
	if got == c.allowed[0] {
		return foundOld, nil
	}
	return foundNew, nil
}

// TestCrashes reopens what a disk may hold after a crash: it is the old or the
// new state, or everything is denied.
func TestCrashes(t *testing.T) {
	if raceDetector {
		without(t)
		return
	}
	want := 10_000
	if long() {
		want = 1 << 30
	}
	s := recite(t)
	seed := uint64(time.Now().UnixNano())
	states := 0
	s.crashes(0, func(crash) { states++ })
	t.Logf("%d states; seed %d, %d operations, %d acts", states, seed, len(s.log), len(s.after)-1)
	type job struct {
		crash
		dir string
	}
	queue := make(chan job, 16)
	var count [3]atomic.Int64
	var failures atomic.Int64
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for c := range queue {
				what, err := c.reopen(c.dir)
				os.RemoveAll(c.dir)
				if err != nil {
					if failures.Add(1) < 10 {
						t.Errorf("%s: %v", c.name, err)
					}
					continue
				}
				count[what].Add(1)
				if what == foundDenied && !c.reset {
					t.Errorf("%s: a sound store denies all: what was confirmed is lost", c.name)
				}
			}
		})
	}
	begin := time.Now()
	distinct := s.sample(seed, want, func(c crash, tree faultfs.Tree) {
		dir, err := os.MkdirTemp(memory(t), "crash")
		if err == nil {
			err = lay(tree, dir)
		}
		if err != nil {
			t.Error(err)
			return
		}
		queue <- job{c, dir}
	})
	close(queue)
	workers.Wait()
	t.Logf("%d different states: %d old, %d new, %d deny all; %v", distinct, count[foundOld].Load(), count[foundNew].Load(),
		count[foundDenied].Load(), time.Since(begin).Round(time.Second))
	if distinct < min(want, 10_000) {
		t.Errorf("only %d states", distinct)
	}
}

// memory is a place where files cost little.
func memory(t *testing.T) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return t.TempDir()
}

// sample visits at least want different states, if there are so many, spread
// over the whole story.
func (s told) sample(seed uint64, want int, visit func(crash, faultfs.Tree)) (distinct int) {
	total := 0
	s.crashes(seed, func(crash) { total++ })
	every := max(1, total*2/3/want) // about a third are the same as others
	key, seen := maphash.MakeSeed(), map[uint64]bool{}
	n := 0
	s.crashes(seed, func(c crash) {
		if n++; n%every != 0 {
			return
		}
		tree := c.tree()
		if id := fingerprint(key, tree, c.allowed); !seen[id] {
			seen[id] = true
			distinct++
			visit(c, tree)
		}
	})
	return distinct
}
