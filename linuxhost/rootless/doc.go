// Package rootless lets an ordinary user's agent run apps: it starts the agent
// again in a user namespace and a mount namespace of its own, where the user is
// id 0 and the subordinate ids of /etc/subuid and /etc/subgid are the rest.
//
//	consentry agent (the user)          consentry agent (id 0 of the namespace)
//	  | clone: user, mount namespace      .
//	  | ------------ wait --------------> | (no id yet, no right)
//	  | newuidmap, newgidmap, or one id   |
//	  | ------------- go ---------------> | exec: the same program and arguments
//	  | a signal: passed on               | …
//	  | ------------ hang-up -----------> | ends
//
// What it promises: the second process has no right that the user has not; its
// root may use the user's ids and make mounts that only it sees. When either
// ends, the other does. Without subordinate ids it has one id, the user's own,
// and apps have one too.
package rootless
