// Command oci compares pulling and unpacking an image: ours, and Debian's
// skopeo+umoci, podman and containerd, from a registry on loopback into an
// empty store on a file system that was made a moment ago. Contenders take
// turns within a round; a ratio is made of two figures of the same round, and
// the table shows the medians. Two floors stand beside them: tar -x of the
// result, uncompressed, and cp -a of it.
//
// "+ sync" adds what it takes until everything is on the disk, which some
// contenders have paid for when they return and others have not.
//
//	oci -dir SCRATCH NAME=LAYOUT...
package main
