// Package dial connects the agent to addresses that were decided about. It
// resolves a name only when it is told to, which is after a yes to that name;
// it dials the addresses it is given and no others (Happy Eyeballs, RFC 8305,
// among them); and it goes through the user's own upstream proxies where the
// environment of the agent names some.
//
// A proxy is given an address that was judged here, never a name, wherever the
// name can be resolved here. Where it cannot (no such name for the local
// resolver, or the user wrote socks5h://), the proxy resolves it: what it finds
// cannot be judged, so names that look like local ones are refused.
//
// The package makes no verdicts about addresses of targets; the caller does,
// between Resolve and Dial.
package dial
