package ninep

import (
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/consentry/consentry/sandbox"
)

// Place is where a folder is, or may come, inside. Its methods may be called
// from many goroutines.
type Place struct {
	owner Owner
	ask   Ask // nil: it is given from outside, or not there

	served atomic.Bool

	mu   sync.Mutex
	here *given // nil until the user has said yes
}

// NewPlace is a place with nothing in it. Where ask is nil, nobody is asked.
func NewPlace(owner Owner, ask Ask) *Place { return &Place{owner: owner, ask: ask} }

// Give puts a folder there.
func (p *Place) Give(f sandbox.Folder) error {
	g, err := newGiven(f)
	if err != nil {
		return fmt.Errorf("folder %s: %w", f.Source, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.here != nil {
		g.end()
		return fmt.Errorf("%w: a folder is there already", sandbox.ErrInvalid)
	}
	p.here = g
	return nil
}

// Take takes the folder away and says how many files of it were open. Whatever
// the guest does, nothing more of it is read or changed once it has returned.
func (p *Place) Take() (open int) {
	p.mu.Lock()
	g := p.here
	p.here = nil
	p.mu.Unlock()
	if g == nil {
		return 0
	}
	return g.end()
}

func (p *Place) current() *given {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here
}

// given is a folder for as long as one yes lasts.
type given struct {
	write bool
	parts []sandbox.Part
	as    identity // the folder's owner, on this system

	mu    sync.RWMutex // held to read by whoever uses the folder
	over  bool
	top   *folder
	inUse map[closer]bool
}

// closer is an open file or folder.
type closer interface{ Close() error }

// maxParts bounds the rules about parts of one folder.
const maxParts = 256

func newGiven(f sandbox.Folder) (*given, error) {
	if len(f.Parts) > maxParts {
		return nil, fmt.Errorf("%w: %d rules about parts, more than %d", sandbox.ErrInvalid, len(f.Parts), maxParts)
	}
	root, err := os.OpenRoot(f.Source)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	owner := ownerOf(info)
	if !owner.known {
		root.Close()
		return nil, fmt.Errorf("%w: its owner is not known", sandbox.ErrNotSupported)
	}
	g := &given{write: f.Write, parts: f.Parts, as: owner, inUse: map[closer]bool{}}
	g.top = &folder{root: root, path: ".", id: identify(info)}
	g.inUse[root] = true
	return g, nil
}

// use calls do while the folder is given.
func (g *given) use(do func() error) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.over {
		return eAccess
	}
	return do()
}

// end waits for what is under way and closes everything.
func (g *given) end() (open int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	for c := range g.inUse {
		if _, file := c.(*os.File); file {
			open++
		}
		c.Close()
	}
	g.inUse = nil
	return open
}

// keep and drop note what is open; they are called within use, by the one
// goroutine of a connection, which a place has one of.
func (g *given) keep(c closer) { g.inUse[c] = true }

func (g *given) drop(c closer) {
	delete(g.inUse, c)
	c.Close()
}

// rights are those of what lies at a path: of the part it lies in.
func (g *given) rights(name string) (read, write bool) {
	read, write = true, g.write
	longest := 0
	for _, p := range g.parts {
		if len(p.Path) >= longest && within(name, p.Path) {
			read, write, longest = p.Read, p.Read && p.Write, len(p.Path)
		}
	}
	return read, write
}

func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// pinned says whether a rule is about what lies at a path, or below it: it would
// be about something else if that moved.
func (g *given) pinned(name string) bool {
	for _, p := range g.parts {
		if within(p.Path, name) {
			return true
		}
	}
	return false
}

// writable says whether what lies at a path may be changed.
func (g *given) writable(name string) error {
	if read, write := g.rights(name); !read {
		return eAccess
	} else if !write {
		return eReadOnly
	}
	return nil
}

// folder is an open directory.
type folder struct {
	root *os.Root
	path string // below the top, as it was when it was opened
	id   identifier
}

func (f *folder) at(name string) string { return path.Join(f.path, name) }

// visible is what lies in a folder under a name, if it is of a kind that is
// shown at all.
func (f *folder) visible(name string) (os.FileInfo, error) {
	info, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !shown(info.Mode()) {
		return nil, eNoEntry
	}
	return info, nil
}

func shown(mode os.FileMode) bool {
	return mode.IsRegular() || mode.IsDir() || mode.Type() == os.ModeSymlink
}

// enter opens a folder in a folder. What was a folder and is a link now is
// stale.
func (f *folder) enter(name string, seen os.FileInfo) (*folder, error) {
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil && !os.SameFile(seen, info) {
		err = eStale
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return &folder{root: root, path: f.at(name), id: identify(info)}, nil
}

// open opens a file in a folder, with flags of this system but those that make
// or empty one.
func (f *folder) open(name string, flags int) (*os.File, error) {
	seen, err := f.visible(name)
	if err != nil {
		return nil, err
	}
	if !seen.Mode().IsRegular() {
		return nil, eLoop // links are the guest's to follow; folders are not opened here
	}
	file, err := f.root.OpenFile(name, flags|dontWait, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(seen, info) {
		err = eStale
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
