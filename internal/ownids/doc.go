// Package ownids says which user ids this process has: all of the machine, or
// the few that were lent to the user namespace it runs in.
package ownids
