package faultfs

import (
	"maps"
	"path"
	"slices"
)

// Kind of an Op.
type Kind uint8

// The kinds of changes, syncs, and marks that a test sets.
const (
	Create Kind = iota
	Mkdir
	Write
	Truncate
	Rename
	Remove
	Sync
	SyncDir
	Mark
)

// Op is one thing that was done.
type Op struct {
	Kind Kind
	File int    // of Create, Write, Truncate, Sync, Remove: number of the file
	Path string // of Create, Mkdir, Rename, Remove, SyncDir; the text of a Mark
	To   string // of Rename
	Off  int64  // of Write
	Size int64  // of Truncate
	Data []byte // of Write
}

// data says whether the op changes the content of a file.
func (o *Op) data() bool { return o.Kind == Write || o.Kind == Truncate }

// folder says whether the op changes a folder.
func (o *Op) folder() bool {
	return o.Kind == Create || o.Kind == Mkdir || o.Kind == Rename || o.Kind == Remove
}

// Fate is what becomes of a write that was not synced.
type Fate struct {
	Lost bool
	// Torn keeps only the bytes From up to To of a write.
	Torn     bool
	From, To int
}

// Loose are the ops that a crash may lose.
type Loose struct {
	Data   []int // indexes of writes, any of which may be lost or torn
	Folder []int // indexes of changes of folders, of which an end may be lost
}

// note takes in what op i does to what is loose.
func (l *Loose) note(log []Op, i int) {
	switch o := &log[i]; {
	case o.data():
		l.Data = append(l.Data, i)
	case o.folder():
		l.Folder = append(l.Folder, i)
	case o.Kind == Sync:
		l.settle(log, o.File)
	case o.Kind == SyncDir:
		l.Folder = slices.DeleteFunc(l.Folder, func(j int) bool {
			settled := log[j].in(o.Path)
			if settled && log[j].Kind == Remove { // what was written to it is nobody's
				l.settle(log, log[j].File)
			}
			return settled
		})
	}
}

func (l *Loose) settle(log []Op, file int) {
	l.Data = slices.DeleteFunc(l.Data, func(j int) bool { return log[j].File == file })
}

// first is the index of the first loose op before end.
func (l *Loose) first(end int) int {
	for _, list := range [][]int{l.Data, l.Folder} {
		if len(list) > 0 {
			end = min(end, list[0])
		}
	}
	return end
}

// in says whether the op changed this folder last of all: a rename out of it
// is synced with the folder it went to as well.
func (o *Op) in(folder string) bool {
	return path.Dir(o.Path) == folder || o.Kind == Rename && path.Dir(o.To) == folder
}

// Tree is what a disk holds: contents by path; folders have none.
type Tree struct {
	Files   map[string][]byte
	Folders []string
}

// Disk replays a log, op by op. A Tree that it gave is good until Advance.
type Disk struct {
	Loose Loose

	log   []Op
	done  int  // ops
	sure  disk // after those that no crash can lose, nor any before them
	fixed int  // how many those are
}

// NewDisk is an empty disk before the first op of log.
func NewDisk(log []Op) *Disk {
	return &Disk{log: log, sure: disk{content: map[int][]byte{}, entry: map[string]int{}}}
}

// Advance does one more op; false at the end of the log.
func (d *Disk) Advance() bool {
	if d.done == len(d.log) {
		return false
	}
	d.Loose.note(d.log, d.done)
	d.done++
	for first := d.Loose.first(d.done); d.fixed < first; d.fixed++ {
		d.sure.apply(&d.log[d.fixed], Fate{})
	}
	return true
}

// Tree is what a crash now may leave, with these fates of loose writes, and
// without these changes of folders, which must be an end of the loose ones.
func (d *Disk) Tree(fates map[int]Fate, lostFolders []int) Tree {
	after := d.sure.clone()
	for i := d.fixed; i < d.done; i++ {
		if fate := fates[i]; !fate.Lost && !slices.Contains(lostFolders, i) {
			after.apply(&d.log[i], fate)
		}
	}
	t := Tree{Files: map[string][]byte{}, Folders: after.folders}
	for name, file := range after.entry {
		if dir := path.Dir(name); dir == "." || slices.Contains(after.folders, dir) { // else its folder is lost
			t.Files[name] = after.content[file]
		}
	}
	return t
}

// disk is a replay under way.
type disk struct {
	content map[int][]byte
	entry   map[string]int
	folders []string
	own     map[int]bool // contents that are no other disk's; nil: all
}

func (d *disk) clone() *disk {
	return &disk{maps.Clone(d.content), maps.Clone(d.entry), slices.Clone(d.folders), map[int]bool{}}
}

func (d *disk) apply(o *Op, fate Fate) {
	switch o.Kind {
	case Create:
		d.entry[o.Path] = o.File
	case Mkdir:
		d.folders = append(d.folders, o.Path)
	case Write:
		data, off := o.Data, o.Off
		if fate.Torn {
			data, off = data[fate.From:fate.To], off+int64(fate.From)
		}
		d.content[o.File] = put(d.mine(o.File), data, off)
	case Truncate:
		d.content[o.File] = resize(d.mine(o.File), o.Size)
	case Rename:
		d.rename(o.Path, o.To)
	case Remove:
		delete(d.entry, o.Path)
		d.folders = slices.DeleteFunc(d.folders, func(f string) bool { return f == o.Path })
	case Sync, SyncDir, Mark:
	}
}

// rename moves a file or a folder with what is in it.
func (d *disk) rename(from, to string) {
	if file, ok := d.entry[from]; ok {
		delete(d.entry, from)
		d.entry[to] = file
		return
	}
	for i, f := range d.folders {
		if f == from {
			d.folders[i] = to
		}
	}
	for name, file := range d.entry {
		if path.Dir(name) == from {
			delete(d.entry, name)
			d.entry[path.Join(to, path.Base(name))] = file
		}
	}
}

// mine is the content of a file, to be changed.
func (d *disk) mine(file int) []byte {
	if d.own == nil || d.own[file] {
		return d.content[file]
	}
	d.own[file] = true
	return slices.Clone(d.content[file])
}

// put writes data at off.
func put(content, data []byte, off int64) []byte {
	if end := off + int64(len(data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	copy(content[off:], data)
	return content
}

func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}
