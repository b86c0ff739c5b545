package ninep

import "os"

// file is what a number of the guest's stands for: the place itself, or
// something in a folder.
type file struct {
	given *given  // nil: the place, whatever is there now
	in    *folder // that it lies in; nil for the top
	name  string
	self  *folder // where it is a folder

	open    *os.File // a file that is open
	append  bool
	listing *listing // a folder that is open
}

// top says whether it is the place itself.
func (f *file) top() bool { return f.given == nil }

// path is where it lies below the place.
func (f *file) path() string {
	switch {
	case f.self != nil:
		return f.self.path
	case f.in == nil:
		return "."
	}
	return f.in.at(f.name)
}

// find is the file with a number.
func (s *session) find(number uint32) (*file, error) {
	f := s.files[number]
	if f == nil {
		return nil, eBadFile
	}
	return f, nil
}

// put gives a file a number that is free.
func (s *session) put(number uint32, f *file) error {
	switch {
	case number == noFile || s.files[number] != nil:
		return eInvalid
	case len(s.files) >= maxFiles:
		return eManyFiles
	}
	s.files[number] = f
	return nil
}

// within resolves what a file stands for now and calls do with it while the
// folder is given. name is what the app touches, should it have to be asked for.
func (s *session) within(f *file, name string, do func(g *given, f *file) error) error {
	g := f.given
	if f.top() {
		if g = s.place.current(); g == nil {
			return touching{name}
		}
		if f.listing != nil && f.listing.given != g {
			f.listing = nil // of a folder that was taken back
		}
	}
	return g.use(func() error {
		if err := s.become(g.as); err != nil {
			return err
		}
		if f.top() {
			return do(g, &file{given: g, self: g.top, listing: f.listing})
		}
		return do(g, f)
	})
}

// become gives this thread the rights of a folder's owner, and no others. There
// is no way back, so a folder of another owner cannot come after it.
func (s *session) become(owner identity) error {
	if s.actsAs == owner {
		return nil
	}
	if s.actsAs != (identity{}) {
		return eAccess
	}
	if err := actAs(owner); err != nil {
		return err
	}
	s.actsAs = owner
	return nil
}

// clunk forgets a number.
func (s *session) clunk(number uint32) error {
	f, err := s.find(number)
	if err != nil {
		return err
	}
	delete(s.files, number)
	s.release(f)
	return nil
}

func (s *session) clunkAll() {
	for number := range s.files {
		//nolint:errcheck // it is there
		s.clunk(number)
	}
}

// release closes what only this file uses.
func (s *session) release(f *file) {
	g := f.given
	if g == nil {
		if f.listing == nil {
			return
		}
		g = f.listing.given
	}
	//nolint:errcheck // what was taken back is closed already
	g.use(func() error {
		s.letGo(g, f)
		return nil
	})
}

// letGo is release within use.
func (s *session) letGo(g *given, f *file) {
	if f.open != nil {
		g.drop(f.open)
	}
	if f.listing != nil {
		f.listing.close()
	}
	for _, dir := range []*folder{f.self, f.in} {
		s.letGoFolder(g, dir)
	}
}

func (s *session) letGoFolder(g *given, dir *folder) {
	if dir != nil && dir != g.top && !s.uses(dir) {
		g.drop(dir.root)
	}
}

// uses says whether a folder is still that of a file.
func (s *session) uses(dir *folder) bool {
	for _, f := range s.files {
		if f.self == dir || f.in == dir {
			return true
		}
	}
	return false
}
