// Package bridge is the host module "consentry": the user's data and HTTP, for
// wasm modules. sdk/README.md documents its functions for app authors.
//
// It promises:
//   - every datum and every connection is asked for at the Broker, and a call
//     that got no yes gives the guest nothing but an Errno;
//   - each hop of an HTTP exchange, redirects included, is a connection of its
//     own with a verdict of its own; none is used twice;
//   - no proxy, cookie, credential or resolver of this machine has a part in
//     it, and TLS is verified for the host that was asked about;
//   - sizes of requests, headers, bodies and the number of handles are bounded;
//   - a call that waits ends when its context ends.
//
// An answer that did not fit the guest's buffer is kept for the next call
// only, and for a few seconds, so that asking again with a larger buffer does
// not ask the user again.
package bridge
