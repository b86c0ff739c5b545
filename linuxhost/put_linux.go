package linuxhost

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/linuxhost/appfs"
	"github.com/consentry/consentry/sandbox"
)

// Put unpacks a tar stream in a directory that the app sees.
func (i *instance) Put(ctx context.Context, dir string, owner sandbox.User, files *os.File) error {
	defer files.Close()
	_, err := i.launcher.peer.Call(ctx, verbPut, putCall{Dir: dir, Owner: owner}, nil, files)
	return err
}

// put passes a tar stream on to init.
func (l *launcher) put(ctx context.Context, body json.RawMessage, files []*os.File) error {
	defer fdwire.CloseAll(files)
	var call putCall
	if err := decode(body, &call); err != nil {
		return err
	}
	child, err := l.awake()
	if err != nil {
		return err
	}
	l.mu.Lock()
	span := l.ids
	l.mu.Unlock()
	if call.Owner, err = span.user(call.Owner); err != nil {
		return err
	}
	_, err = child.peer.Call(ctx, verbPut, call, nil, files...)
	return err
}

// put unpacks a tar stream. It is init that does so, and no process outside:
// whatever the app makes of the paths meanwhile, they are those of the app's own
// root, walked with no more rights than the image's root has
// (CVE-2018-15664), and nothing of the app is run or loaded for it
// (CVE-2019-14271). What is written counts as the app's memory and disk.
func (i *sandboxInit) put(ctx context.Context, body json.RawMessage, files []*os.File) (err error) {
	defer fdwire.CloseAll(files)
	var call putCall
	if err := decode(body, &call); err != nil {
		return err
	}
	i.mu.Lock()
	built := i.built
	i.mu.Unlock()
	if !built || len(files) != 1 {
		return fmt.Errorf("%w: no files to put, or too early", sandbox.ErrInvalid)
	}
	defer func() { // the end of init would be the end of the app
		if fault := recover(); fault != nil {
			err = fmt.Errorf("unpack: %v", fault)
		}
	}()
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	root := os.NewFile(uintptr(fd), "/")
	defer root.Close()
	return appfs.Tree{Root: root, UID: call.Owner.UID, GID: call.Owner.GID}.Put(ctx, call.Dir, files[0])
}
