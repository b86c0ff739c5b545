// Package wasi is WASI preview 1 over os.Root.
//
// It promises:
//   - no path leaves the mount it starts in, whatever links exist or are made
//     meanwhile: every path is resolved by os.Root, and a symbolic link that
//     plainly points out of its mount is not created;
//   - a read-only mount is not changed, also not through a hard link;
//   - only regular files and directories are opened: no FIFO, socket or device
//     of the host;
//   - file descriptors, path lengths, vectors and output are bounded;
//   - a blocked read, write or poll of a standard stream ends on Interrupt.
//
// There are no sockets: the sock_ functions answer ENOTSOCK or ENOTSUP. The
// methods of System run on the guest's goroutine, but for Interrupt.
package wasi
