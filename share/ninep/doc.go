// Package ninep serves a folder of the user's to a microVM over 9P2000.L, and
// nothing of it before the user has said yes.
//
//	guest's kernel          Serve                    ask, files
//	  | version, attach       |                          |
//	  | --------------------> | the folder's name, and    |
//	  |                       | that it is a folder       |
//	  | walk "letter"         |                          |
//	  | --------------------> | may it be given?          |
//	  |                       | ------------------------> | prompt; on yes Give
//	  |                       | <------------------------ |
//	  | <-------------------- | walks, opens, reads, …    |
//	  |                       |                      Take | the yes is gone
//	  | read                  |                          |
//	  | --------------------> | EACCES: what was open     |
//	  | <-------------------- | is closed                 |
//
// The protocol is Plan 9's (intro(5) of its manual) with the messages that
// Linux added, as Documentation/filesystems/9p.rst and fs/9p of Linux 6.12 have
// them. Numbers in it (errors, flags of open) are Linux's on every system.
//
// What it promises: before Give, and after Take has returned, no byte and no
// name of the folder is sent, whatever the guest's kernel says. No name leads out
// of the folder: each is one part of a path, looked up in an open directory
// (os.Root), and a symbolic link is never followed, only read. What is not a
// file, a folder or a symbolic link is not there. A part with rights of its own
// keeps them, and cannot be moved. No file becomes set-uid. What the server
// does, it does with the rights of the folder's owner, and less (act_linux.go).
//
// Bounds: MaxMessage bytes of each message, maxFiles numbers of files, maxAsking
// questions under way; requests are done one after the other, those that wait
// for the user aside. What it does not promise: locks are among the programs of
// the guest, and not with those of the user's machine.
package ninep

import "context"

// Ask asks whether the folder may be given, and returns once it is: nil, or
// sandbox.ErrNothing if it holds nothing of that name. name is the app's word,
// one part of a path; "." is the folder itself.
type Ask func(ctx context.Context, name string) error

// Owner is to whom files look to belong in the guest, by their numbers there:
// those of the folder's owner to this one, all others to nobody.
type Owner struct{ UID, GID uint32 }
