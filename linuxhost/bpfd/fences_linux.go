package bpfd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// Bounds of what users may have raised. The kernel runs at most 38 programs at
// one hook, and every file that is opened on the machine asks each of ours.
const (
	maxFences    = 16
	maxFencesUID = 3
)

// place names a fence: its owner and its cgroup.
type place struct {
	uid    uint32
	cgroup uint64
}

func (p place) String() string { return fmt.Sprintf("%d-%d", p.uid, p.cgroup) }

func parsePlace(name string) (p place, ok bool) {
	uid, cgroup, found := strings.Cut(name, "-")
	if !found {
		return p, false
	}
	u, uidErr := strconv.ParseUint(uid, 10, 32)
	c, cgroupErr := strconv.ParseUint(cgroup, 10, 64)
	p = place{uint32(u), c}
	return p, uidErr == nil && cgroupErr == nil && p.String() == name
}

// mayAdd says whether one more fence is allowed at p, beside those that stand.
func mayAdd(stand []place, p place) error {
	total, own := 0, 0
	for _, other := range stand {
		if other == p {
			continue // it will be replaced
		}
		total++
		if other.uid == p.uid {
			own++
		}
	}
	switch {
	case own >= maxFencesUID:
		return fmt.Errorf("this user has %d fences already: end an agent", own)
	case total >= maxFences:
		return fmt.Errorf("users of this machine have %d fences already", total)
	}
	return nil
}

// fences are those that stand on this machine. What is pinned is the truth: it
// outlives this process.
type fences struct {
	root string // directory of the pins

	mu    sync.Mutex
	turns map[place]uint64 // counts who raised one last; under mu
	turn  uint64
}

func (f *fences) pins(p place) string { return filepath.Join(f.root, p.String()) }

// standing lists what is pinned, after what is abandoned was taken away. mu is
// held.
func (f *fences) standing() ([]place, error) {
	entries, err := os.ReadDir(f.root)
	if err != nil {
		return nil, fmt.Errorf("pins: %w", err)
	}
	var all []place
	for _, e := range entries {
		p, ok := parsePlace(e.Name())
		if !ok {
			continue // nothing of ours
		}
		gone, err := bpf.Abandoned(f.pins(p))
		if err == nil && gone {
			err = bpf.Lower(f.pins(p))
		}
		if err != nil {
			return nil, err
		}
		if !gone {
			all = append(all, p)
		}
	}
	return all, nil
}

// claim is a fence in the hands of the connection that asked for it.
type claim struct {
	at     place
	turn   uint64
	dir    *os.File
	loader bpf.Loader
	maps   *bpf.Maps
}

// raise loads the second line above dir.
func (f *fences) raise(ctx context.Context, dir *os.File, uid uint32) (*claim, error) {
	id, err := owned(dir, uid)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	free, err := empty(dir)
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, errBusy
	}
	stand, err := f.standing()
	if err != nil {
		return nil, err
	}
	at := place{uid, id}
	if err := mayAdd(stand, at); err != nil {
		return nil, err
	}
	c := &claim{at: at, dir: dir, loader: bpf.NewLoader(dir, f.pins(at), true)}
	if c.maps, err = c.loader.Cgroup(ctx); err != nil {
		return nil, err
	}
	f.turn++
	c.turn = f.turn
	f.turns[at] = c.turn
	return c, nil
}

var errTaken = errors.New("somebody else has asked for this fence since")

// judge loads the first line.
func (f *fences) judge(ctx context.Context, c *claim) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turns[c.at] != c.turn {
		return errTaken
	}
	if c.maps.LSM() {
		return errors.New("LSM programs are loaded already")
	}
	return c.loader.LSM(ctx, c.maps)
}

// lower takes a fence away when nothing runs below it: until then it goes on
// denying. One that was raised anew is left alone.
func (f *fences) lower(ctx context.Context, c *claim) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turns[c.at] != c.turn {
		return nil
	}
	free, err := empty(c.dir)
	if err != nil {
		return err
	}
	if !free {
		return errBusy
	}
	if err := c.loader.Lower(ctx); err != nil {
		return err
	}
	delete(f.turns, c.at)
	return nil
}

// status counts the programs of a fence of the caller.
func (f *fences) status(dir *os.File, uid uint32) (have, want int, err error) {
	id, err := owned(dir, uid)
	if err != nil {
		return 0, 0, err
	}
	pins := f.pins(place{uid, id})
	if _, err := os.Stat(pins); errors.Is(err, fs.ErrNotExist) {
		return 0, 0, errors.New("there is no fence around this cgroup")
	}
	maps, err := bpf.OpenMaps(pins)
	if err != nil {
		return 0, 0, err
	}
	have, want = bpf.Attached(pins, maps.LSM())
	return have, want, maps.Close()
}
