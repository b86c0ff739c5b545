package ipc

import "github.com/consentry/consentry/internal/ownids"

// userID is the user whose folders are meant; the agent of a user is id 0 of a
// namespace, and yet not root.
func userID() int { return ownids.User() }
