package agent

import (
	"github.com/consentry/consentry/internal/ownids"
	"github.com/consentry/consentry/sandbox"
)

// ownerOf is what the user of an app is called outside: an id of the app's own
// range, or, where the agent is in a user namespace, what the app calls it.
func ownerOf(spec sandbox.Spec) uint32 {
	if here, err := ownids.Here(); err == nil && !here.Whole() {
		if here.Count() == 1 {
			return 0
		}
		return spec.Process.User.UID
	}
	return spec.Image.IDBase + spec.Process.User.UID
}
