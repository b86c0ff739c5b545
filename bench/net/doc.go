// Command net compares the router with other user-mode networks: pasta (not
// spliced), slirp4netns and gvisor-tap-vsock, each on its own card in its own
// network namespace, all before the same server on the loopback address of one
// outer namespace, in one go.
//
//	outer namespace                              namespace of one peer
//	 ┌ server 127.0.0.1                          ┌ load: up, down, connects
//	 ├ agent: dials for the router ── wire ── router ── tap
//	 ├ pasta, slirp4netns ─────────────────────────────── tap
//	 └ gvproxy ── unix socket ── gvforwarder ──────────── tap
//
// Peers take turns within a round; a ratio is made of two figures of the same
// round, and the table shows the median of the rounds' ratios. The router is
// measured as it is used: its connections are made by another process and come
// over the wire. What is not in the figures is the decision itself.
package main
