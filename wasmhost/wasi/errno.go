package wasi

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/consentry/consentry/wasmhost/abi"
)

// errnoOf turns an error of the host into the guest's number. What is not
// known becomes EIO; the text of an error, which may name files of the host,
// never reaches the guest.
func errnoOf(err error) abi.Errno {
	if err == nil {
		return abi.OK
	}
	if errors.Is(err, errWouldBlock) {
		return abi.EAGAIN
	}
	if errors.Is(err, errInterrupted) {
		return abi.EINTR
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		if errno, known := numbers[number]; known {
			return errno
		}
	}
	if errno := escapeErrno(err); errno != abi.OK {
		return errno
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return abi.ENOENT
	case errors.Is(err, fs.ErrExist):
		return abi.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return abi.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return abi.EINVAL
	case errors.Is(err, fs.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return abi.EBADF
	}
	return abi.EIO
}

// escapeErrno knows the errors of os.Root, which have no value to compare
// with. A test makes them and sees that the texts still hold.
func escapeErrno(err error) abi.Errno {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	text := ""
	switch {
	case errors.As(err, &pathErr):
		text = pathErr.Err.Error()
	case errors.As(err, &linkErr):
		text = linkErr.Err.Error()
	}
	switch {
	case strings.Contains(text, "escapes from parent"):
		return abi.EPERM
	case strings.Contains(text, "too many"):
		return abi.ELOOP
	}
	return abi.OK
}
