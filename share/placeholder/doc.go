// Package placeholder answers for the empty folder that stands where an app may
// be given one: its name is seen, and whoever wants to look inside waits until
// the user has decided.
//
//	app                    kernel               placeholder            ask
//	  | open docs/letter     |                      |                   |
//	  | -------------------> | look up "letter"     |                   |
//	  |                      | -------------------> | may it be given?  |
//	  |                      |                      | ----------------> | prompt; on yes
//	  |                      |                      |                   | the folder is
//	  |                      |         ESTALE       | <---------------- | mounted over it
//	  |                      | <------------------- |
//	  |                      | (walks the path again, and is in the folder)
//	  | <------------------- |
//
// It gives nothing itself: it has no files, and what it answers can only make
// the kernel look again. So a wrong answer is a no.
//
// Calls that make a name (mkdir, mknod, symlink, link) do not look again after a
// look-up that failed, but do after a making that failed. So a name that is not
// in the folder, now that it is there, is said not to be there: an open ends as
// it would have, and a mkdir goes on, is refused as stale, and looks again. One
// case is left: such a call, as the first touch of all, on a name that exists,
// ends with ESTALE in place of EEXIST.
package placeholder

import "context"

// Ask asks whether the folder may be given, and returns once it is there: nil,
// or sandbox.ErrNothing if it holds nothing of that name. name is the app's
// word, one part of a path; "." is the folder itself.
type Ask func(ctx context.Context, name string) error

// Owner is who the empty folder belongs to, by its numbers outside.
type Owner struct{ UID, GID uint32 }
