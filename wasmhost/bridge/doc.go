// Package bridge is the host module "consentry": the user's data and HTTP, for
// wasm modules. sdk/README.md documents its functions for app authors.
//
// It promises:
//   - every datum and every connection is asked for at the Broker, and a call
//     that got no yes gives the guest nothing but an Errno;
//   - HTTP is what package fetch promises;
//   - sizes of requests and answers and the number of handles are bounded;
//   - a call that waits ends when its context ends.
//
// An answer that did not fit the guest's buffer is kept for the next call
// only, and for a few seconds, so that asking again with a larger buffer does
// not ask the user again.
package bridge
