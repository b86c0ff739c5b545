package linuxhost

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/consentry/consentry/internal/ownids"
	"github.com/consentry/consentry/sandbox"
)

// idRange is how many ids an app has where there are enough.
const idRange = 65536

// idSpan is how an app's ids lie in ours: its id n is base+n.
type idSpan struct {
	base, count uint32
	// own: no other app has them, and the ids of layers and shares are mapped by
	// their mounts. An agent in a user namespace can do neither: all its apps
	// have the ids that it has, and files keep on disk the ids that apps see.
	own   bool
	outer ownids.Space
	// asIs: files come with the app's ids, as the host of this machine mapped them.
	asIs bool
	// served is where files come with the app's user's ids in any case: Guest.Folders.
	served string
}

// mapsFiles says whether mounts here are to map the ids of files.
func (s idSpan) mapsFiles() bool { return s.own && !s.asIs }

// spanOf gives an app the range from base on, or what there is.
func spanOf(base uint32) (idSpan, error) {
	here, err := ownids.Here()
	switch {
	case err != nil:
		return idSpan{}, err
	case here.Whole():
		return idSpan{base: base, count: idRange, own: true, outer: here}, nil
	case here.Count() == 0:
		return idSpan{}, fmt.Errorf("%w: this user namespace has no id 0", sandbox.ErrNotSupported)
	}
	return idSpan{count: min(here.Count(), idRange), outer: here}, nil
}

func (s idSpan) id(n uint32) int { return int(s.base + n) }

// alone: the app has one id. Whoever the image wants to be, it is that one.
func (s idSpan) alone() bool { return s.count == 1 }

// user is who p runs as.
func (s idSpan) user(u sandbox.User) (sandbox.User, error) {
	if s.alone() {
		return sandbox.User{}, nil
	}
	for _, id := range append([]uint32{u.UID, u.GID}, u.Groups...) {
		if id >= s.count {
			return u, fmt.Errorf("%w: id %d, an app has %d here: more subordinate ids give it more (usermod --add-subuids)", sandbox.ErrInvalid, id, s.count)
		}
	}
	return u, nil
}

// maps are the lines of uid_map and gid_map. The kernel takes none that spans
// two lines of our own map.
func (s idSpan) maps() []syscall.SysProcIDMap {
	if s.own {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: s.id(0), Size: int(s.count)}}
	}
	var lines []syscall.SysProcIDMap
	for at := uint32(0); at < s.count; {
		for _, r := range s.outer.Ranges {
			if at >= r.Inside && at-r.Inside < r.Count {
				size := min(r.Inside+r.Count, s.count) - at
				lines = append(lines, syscall.SysProcIDMap{ContainerID: int(at), HostID: int(at), Size: int(size)})
				at += size
			}
		}
	}
	return lines
}

// fields are all numbers of the maps, as this process reads them back.
func (s idSpan) fields() []string {
	var all []string
	for _, m := range s.maps() {
		all = append(all, strconv.Itoa(m.ContainerID), strconv.Itoa(m.HostID), strconv.Itoa(m.Size))
	}
	return all
}

// String says it for people.
func (s idSpan) String() string {
	if s.own {
		return fmt.Sprintf("ids 0 to %d are %d and up on the host", s.count-1, s.base)
	}
	//nolint:errcheck // unknown ids are shown as 0
	root, _ := s.outer.Outside(0)
	if s.alone() {
		return fmt.Sprintf("id 0 is user %d on the host, and there is no other: files of all owners are its own", root)
	}
	//nolint:errcheck // as above
	next, _ := s.outer.Outside(1)
	return fmt.Sprintf("id 0 is user %d on the host, ids 1 to %d are %d and up, shared by this user's apps", root, s.count-1, next)
}
