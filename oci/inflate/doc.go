// Package inflate reads gzip streams (RFC 1952, RFC 1951), faster than the
// libraries do: unpacking an image spends most of its time there.
//
// Promised: it accepts, refuses and yields the same as compress/gzip does with
// many members, up to the place of an error (its fuzz test compares the two);
// memory is bounded and does not depend on the stream. It is plain Go with its
// bounds checks on: a hostile stream can only get an error.
//
// Not promised: headers' fields are checked for form and not kept, and it reads
// ahead of the last member's end.
package inflate
