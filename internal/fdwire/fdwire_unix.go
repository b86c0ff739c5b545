//go:build unix

package fdwire

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Pair returns the two ends of a new connection: one to keep, one to hand to a
// child process (through exec.Cmd.ExtraFiles and FromFile).
func Pair() (*Conn, *os.File, error) {
	ours, theirs, err := SocketPair()
	if err != nil {
		return nil, nil, err
	}
	conn, err := FromFile(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// SocketPair returns two connected stream sockets, both closed on exec.
func SocketPair() (a, b *os.File, err error) {
	fds, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "fdwire"), os.NewFile(uintptr(fds[1]), "fdwire-peer"), nil
}

func (c *Conn) write(frame []byte, files []*os.File) error {
	rights, err := rightsOf(files)
	if err != nil {
		return err
	}
	n, _, err := c.sock.WriteMsgUnix(frame, rights, nil)
	if err == nil && n < len(frame) { // the fds went with the first byte
		_, err = c.sock.Write(frame[n:])
	}
	return err
}

// rightsOf goes through SyscallConn, as File.Fd would make the file blocking
// for everyone who shares it.
func rightsOf(files []*os.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, fmt.Errorf("file %d of a message: %w", i, err)
		}
		if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return nil, fmt.Errorf("file %d of a message: %w", i, err)
		}
	}
	return unix.UnixRights(fds...), nil
}

// readHeader reads exactly the header, so that the fds it takes belong to it:
// a stream socket ends a read before bytes that carry other fds. Package net has
// them closed on exec.
func (c *Conn) readHeader(header []byte) ([]*os.File, error) {
	var files []*os.File
	control := make([]byte, unix.CmsgSpace(4*(MaxFiles+1)))
	for got := 0; got < len(header); {
		n, controlLen, flags, _, err := c.sock.ReadMsgUnix(header[got:], control)
		more, parseErr := parseFiles(control[:controlLen])
		files = append(files, more...)
		got += n
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return files, err
		case n == 0 && got == 0:
			return files, io.EOF
		case n == 0:
			return files, io.ErrUnexpectedEOF
		case parseErr != nil:
			return files, parseErr
		case flags&unix.MSG_CTRUNC != 0 || len(files) > MaxFiles:
			return files, fmt.Errorf("more than %d files in a message", MaxFiles)
		}
	}
	return files, nil
}

func parseFiles(control []byte) ([]*os.File, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, fmt.Errorf("control message: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}
