// Package guestwire is what a host and the guestinit of one microVM say to each
// other, over one connection (a virtio-serial port, a vsock, the standard files
// of a process).
//
//	host                                    guest
//	  | hello {version, kernel, lsm, walls}   |  the first stream, opened by the guest
//	  | <------------------------------------ |
//	  | {answer} | {code, detail}             |  another version: refused, the connection is over
//	  | ------------------------------------> |
//	  |                                       |
//	  | {verb, body}                          |  from now on: a stream for each call,
//	  | ------------------------------------> |  opened by either end
//	  | {answer, body} | {code, detail}       |
//	  | <------------------------------------ |
//	  | bytes, both ways                      |  where the verb says so, until each end closes
//	  | <===================================> |
//
// A message is a length (four bytes, big endian) and as many bytes of JSON. A
// length above MaxMessage ends the stream before any memory is taken for it;
// more than MaxStreams open streams of the other end, an unknown verb's worth of
// bytes that nobody reads, or anything that the multiplexer does not understand,
// end the connection or starve it, and with it that one guest.
//
// Who asks is given by the connection: no message names an app, and there is
// nothing in one by which a guest could say that it is another.
//
// What it promises: what the other end can make this one hold is bounded
// (receiveBuffer bytes that nobody has read, MaxStreams streams, MaxMessage
// bytes of each message); a call that got no answer ends with
// sandbox.ErrUnavailable, which is never a yes. What it does not: the other end
// may be slow for ever. Whoever calls brings a context.
package guestwire
