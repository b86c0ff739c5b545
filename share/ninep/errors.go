package ninep

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/consentry/consentry/sandbox"
)

// errno is an error as Linux counts them: include/uapi/asm-generic/errno*.h.
type errno uint32

func (e errno) Error() string { return "9P: error " + syscall.Errno(e).Error() }

const (
	ePerm        errno = 1
	eNoEntry     errno = 2
	eIO          errno = 5
	eBadFile     errno = 9
	eAgain       errno = 11
	eAccess      errno = 13
	eBusy        errno = 16
	eExist       errno = 17
	eCross       errno = 18
	eNoFolder    errno = 20
	eIsFolder    errno = 21
	eInvalid     errno = 22
	eManyFiles   errno = 23
	eTextBusy    errno = 26
	eTooBig      errno = 27
	eNoSpace     errno = 28
	eReadOnly    errno = 30
	eLinks       errno = 31
	eNameLong    errno = 36
	eNotEmpty    errno = 39
	eLoop        errno = 40
	eUnsupported errno = 95
	eStale       errno = 116
	eQuota       errno = 122
)

var errNameForm = eInvalid

// system are errors of this system, whatever its numbers are.
var system = []struct {
	have error
	say  errno
}{
	{syscall.ENOTEMPTY, eNotEmpty},
	{syscall.ENOTDIR, eNoFolder},
	{syscall.EISDIR, eIsFolder},
	{syscall.EROFS, eReadOnly},
	{syscall.ENOSPC, eNoSpace},
	{syscall.EDQUOT, eQuota},
	{syscall.EFBIG, eTooBig},
	{syscall.ENAMETOOLONG, eNameLong},
	{syscall.ELOOP, eLoop},
	{syscall.EXDEV, eCross},
	{syscall.EBUSY, eBusy},
	{syscall.EMLINK, eLinks},
	{syscall.EINVAL, eInvalid},
	{syscall.EBADF, eBadFile}, // not opened for that
	{syscall.EPERM, ePerm},
	{syscall.EACCES, eAccess},
	{syscall.EMFILE, eManyFiles},
	{syscall.ENFILE, eManyFiles},
	{fs.ErrNotExist, eNoEntry},
	{fs.ErrExist, eExist},
	{fs.ErrPermission, eAccess},
	{fs.ErrInvalid, eInvalid},
	{fs.ErrClosed, eAccess}, // taken back meanwhile
}

// errnoOf is what the guest is told. Which file it was is not in it.
func errnoOf(err error) errno {
	var e errno
	if errors.As(err, &e) {
		return e
	}
	for _, s := range system {
		if errors.Is(err, s.have) {
			return s.say
		}
	}
	return eIO
}

// refusal is what a touch ends with that got no yes.
func refusal(err error) errno {
	switch {
	case errors.Is(err, sandbox.ErrNothing):
		return eNoEntry
	case errors.Is(err, sandbox.ErrHeld), errors.Is(err, sandbox.ErrBusy), errors.Is(err, context.Canceled):
		return eAgain
	case errors.Is(err, sandbox.ErrDenied), errors.Is(err, sandbox.ErrBlocked), errors.Is(err, sandbox.ErrUndeclared):
		return eAccess
	}
	return eIO
}
