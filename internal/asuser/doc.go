// Package asuser lets tests, which run as root, start programs as an ordinary
// user of a made-up desktop: with a home, subordinate ids, the right to
// /dev/net/tun and /dev/fuse and, if wanted, cgroups of its own. All of it lies in a mount
// namespace of the program; nothing of the machine is changed.
package asuser
