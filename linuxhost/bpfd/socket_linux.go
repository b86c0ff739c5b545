package bpfd

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// SocketPath is where consentry-bpf listens, as its unit has it.
const SocketPath = "/run/consentry/bpf.sock"

// maxFiles bounds the descriptors of one message: an answer has the maps.
const maxFiles = 8

// send writes one message with files attached, which stay the caller's.
func send(conn *net.UnixConn, message []byte, files ...*os.File) error {
	var rights []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		rights = unix.UnixRights(fds...)
	}
	_, _, err := conn.WriteMsgUnix(message, rights, nil)
	return err
}

// receive reads one message of at most limit bytes. Its files are the caller's.
func receive(conn *net.UnixConn, limit int) (message []byte, files []*os.File, err error) {
	message = make([]byte, limit+1)
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, nRights, flags, _, err := conn.ReadMsgUnix(message, rights)
	if err != nil {
		return nil, nil, err
	}
	files, err = filesOf(rights[:nRights])
	if err == nil && (n > limit || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0) {
		err = fmt.Errorf("%w: longer than %d bytes or %d files", errMessage, limit, maxFiles)
	}
	if err != nil {
		closeAll(files)
		return nil, nil, err
	}
	return message[:n], files, nil
}

func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, fmt.Errorf("%w: %w", errMessage, err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed")) //nolint:gosec // a descriptor
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
