// Package appfs puts files into an app: into its writable layer while it does
// not run, into the file system that it sees while it does, or into a volume.
//
// Promised: nothing outside of that tree is written, whatever the app has there
// or changes meanwhile (CVE-2018-15664). Every step of a path is one look-up in
// a directory that is held open, no symbolic link is followed, and what is
// mounted inside (shares, volumes, /proc) is not entered. What the layers below
// have is changed only by being covered. A file appears with the owner that it
// is given, as an id of the app, and without set-uid bits.
package appfs
