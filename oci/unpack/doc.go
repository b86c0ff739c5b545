// Package unpack writes one layer of an image, a tar stream, into a directory
// that overlayfs takes as a lowerdir (mounted with userxattr), and looks up
// paths through such directories.
//
// Promised: whatever the stream says, nothing outside the directory is read,
// written or created; no device node and no file capability of the stream
// reaches the disk; no entry can forge what overlayfs keeps for itself; bytes,
// entries, path lengths and depth are bounded by Limits before they are taken.
// A stream that breaks a rule ends in an error that wraps ErrHostile, and the
// directory is then to be thrown away.
//
// Not promised: that the tree is harmless to run. Set-uid bits, owners and
// symbolic links are kept as they are, so the directory must lie where no other
// user of the machine can reach it, and must be read with the functions of this
// package or of os.Root, never by joined paths.
package unpack
