package guestinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// folder mounts a folder of the user's, which the host serves over the call's
// own stream.
func (s *server) folder(c *guestwire.Call) error {
	var call guestwire.Folder
	if err := errors.Join(c.Read(&call), call.Check()); err != nil {
		return err
	}
	mounted, err := s.expectFolder(call.Number)
	if err != nil {
		return err
	}
	if err := c.Answer(nil); err != nil {
		return err
	}
	return carryFolder(call.Number, c.Stream(), mounted)
}

// expectFolder notes that a folder is about to come, before the app does.
func (s *server) expectFolder(number int) (mounted chan error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starting || s.folders[number] != nil {
		return nil, fmt.Errorf("%w: folder %d after the start, or twice", sandbox.ErrInvalid, number)
	}
	mounted = make(chan error, 1)
	s.folders[number] = mounted
	return mounted, nil
}

// waitForFolders returns once the first n folders are mounted.
func (s *server) waitForFolders(ctx context.Context, n int) error {
	for number := range n {
		s.mu.Lock()
		mounted := s.folders[number]
		s.mu.Unlock()
		if mounted == nil {
			return fmt.Errorf("%w: folder %d has not come", sandbox.ErrInvalid, number)
		}
		select {
		case err := <-mounted:
			if err != nil {
				return fmt.Errorf("folder %d: %w", number, err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// carryFolder mounts, and carries what the kernel and the host say to each other
// until either has enough.
func carryFolder(number int, stream guestwire.Stream, mounted chan<- error) error {
	ours, theirs, err := fdwire.SocketPair()
	if err != nil {
		mounted <- err
		return err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		mounted <- err
		return err
	}
	var ways sync.WaitGroup
	carry := func(to io.WriteCloser, from io.Reader) {
		io.Copy(to, from) //nolint:errcheck // either end may go first
		conn.Close()
		stream.Close()
	}
	ways.Go(func() { carry(conn, stream) })
	ways.Go(func() { carry(stream, conn) })
	err = mountFolder(number, int(theirs.Fd()))
	mounted <- err
	if err != nil {
		conn.Close()
		stream.Close()
	}
	ways.Wait()
	return err
}

// mountFolder: nothing is cached, so that the host decides about each access; all
// users of the guest are one to it.
func mountFolder(number, fd int) error {
	at := filepath.Join(guestwire.FoldersDir, strconv.Itoa(number))
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	options := fmt.Sprintf("trans=fd,rfdno=%d,wfdno=%d,version=9p2000.L,msize=%d,cache=none,access=any", fd, fd, folderMessage)
	return unix.Mount("consentry", at, "9p", unix.MS_NOSUID|unix.MS_NODEV, options)
}

// folderMessage is the longest message that is asked for, in bytes.
const folderMessage = 128<<10 + 24
