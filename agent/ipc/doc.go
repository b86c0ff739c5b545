// Package ipc is where the agent and its clients meet: the folders they use,
// the socket of the local API and the lock that keeps the agent single.
//
// It promises that only the user who runs the agent, and root, get past
// Listen; that Dial never speaks to an agent of another user; and that the
// runtime folder is private before anything is put into it. Both ends look at
// the credentials the kernel gives, not at anything the peer says.
//
// It does not promise that root is kept out: on a machine of one's own root
// is the owner.
package ipc
