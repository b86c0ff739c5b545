// Package faultfs is a file system for tests, mounted through FUSE, whose files
// are in memory. It writes down every change and every sync, fails where it is
// told to, and works out what a disk may hold after a crash at any point.
//
// A crash keeps what was synced. Of the rest it may keep any: writes to files
// are kept, lost or torn one by one, in any order, as a disk with a cache does;
// changes of folders are kept up to one of them, as a journal does. A sync of a
// file does not sync its entry in the folder: POSIX promises no more.
package faultfs
