//go:build unix

package wasi

import (
	"syscall"

	"github.com/consentry/consentry/wasmhost/abi"
)

var numbers = map[syscall.Errno]abi.Errno{
	syscall.EACCES:       abi.EACCES,
	syscall.EAGAIN:       abi.EAGAIN,
	syscall.EBADF:        abi.EBADF,
	syscall.EBUSY:        abi.EBUSY,
	syscall.EDQUOT:       abi.EDQUOT,
	syscall.EEXIST:       abi.EEXIST,
	syscall.EFBIG:        abi.EFBIG,
	syscall.EINTR:        abi.EINTR,
	syscall.EINVAL:       abi.EINVAL,
	syscall.EISDIR:       abi.EISDIR,
	syscall.ELOOP:        abi.ELOOP,
	syscall.EMFILE:       abi.EMFILE,
	syscall.ENFILE:       abi.EMFILE,
	syscall.EMLINK:       abi.EMLINK,
	syscall.ENAMETOOLONG: abi.ENAMETOOLONG,
	syscall.ENOENT:       abi.ENOENT,
	syscall.ENOMEM:       abi.ENOMEM,
	syscall.ENOSPC:       abi.ENOSPC,
	syscall.ENOSYS:       abi.ENOSYS,
	syscall.ENOTDIR:      abi.ENOTDIR,
	syscall.ENOTEMPTY:    abi.ENOTEMPTY,
	syscall.ENOTSUP:      abi.ENOTSUP,
	syscall.ENXIO:        abi.ENXIO,
	syscall.EOVERFLOW:    abi.EOVERFLOW,
	syscall.EPERM:        abi.EPERM,
	syscall.EPIPE:        abi.EPIPE,
	syscall.EROFS:        abi.EROFS,
	syscall.ESPIPE:       abi.ESPIPE,
	syscall.ETXTBSY:      abi.ETXTBSY,
	syscall.EXDEV:        abi.EXDEV,
}
