package ninep

import (
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const dontWait = 0

// identity: agents here run as the user whose files they are.
type identity struct{ known bool }

// identifier tells a file from all others of one folder; a FileInfo of Windows
// has no number of its file.
type identifier struct{ device, file uint64 }

// checkSystemName refuses what Windows takes for more than a name: devices,
// streams, other separators.
func checkSystemName(name string) error {
	if strings.ContainsAny(name, `\:`) || !filepath.IsLocal(name) {
		return errNameForm
	}
	return nil
}

func identify(info fs.FileInfo) identifier {
	h := fnv.New64a()
	h.Write([]byte(info.Name()))
	return identifier{uint64(info.ModTime().UnixNano()), h.Sum64()} //nolint:gosec // as a bit pattern
}

func ownerOf(fs.FileInfo) identity { return identity{known: true} }

func actAs(identity) error { return nil }

func detail(fs.FileInfo, *attributes, identity) bool { return true }

// settleMode: modes are the guest's.
func settleMode(*os.File, fs.FileMode) error { return nil }

func setTimes(f *file, _ *os.File, accessed, modified time.Time) error {
	return f.in.root.Chtimes(f.name, accessed, modified)
}

func renameBetween(top, from *folder, old string, to *folder, name string) error {
	return top.root.Rename(path.Join(from.path, old), path.Join(to.path, name))
}

func linkBetween(top, from *folder, old string, to *folder, name string) error {
	return top.root.Link(path.Join(from.path, old), path.Join(to.path, name))
}

// spaceOf says that there is room: the write tells.
func spaceOf(*given) room {
	const much = 1 << 28
	return room{much, much}
}
