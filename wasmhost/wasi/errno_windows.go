package wasi

import (
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/consentry/consentry/wasmhost/abi"
)

var numbers = map[syscall.Errno]abi.Errno{
	windows.ERROR_ACCESS_DENIED:         abi.EACCES,
	windows.ERROR_ALREADY_EXISTS:        abi.EEXIST,
	windows.ERROR_BROKEN_PIPE:           abi.EPIPE,
	windows.ERROR_NO_DATA:               abi.EPIPE,
	windows.ERROR_BUFFER_OVERFLOW:       abi.ENAMETOOLONG,
	windows.ERROR_CANT_RESOLVE_FILENAME: abi.ELOOP,
	windows.ERROR_DIR_NOT_EMPTY:         abi.ENOTEMPTY,
	windows.ERROR_DIRECTORY:             abi.ENOTDIR,
	windows.ERROR_DISK_FULL:             abi.ENOSPC,
	windows.ERROR_FILE_EXISTS:           abi.EEXIST,
	windows.ERROR_FILE_NOT_FOUND:        abi.ENOENT,
	windows.ERROR_INVALID_HANDLE:        abi.EBADF,
	windows.ERROR_INVALID_NAME:          abi.EINVAL,
	windows.ERROR_INVALID_PARAMETER:     abi.EINVAL,
	windows.ERROR_NOT_SAME_DEVICE:       abi.EXDEV,
	windows.ERROR_NOT_SUPPORTED:         abi.ENOTSUP,
	windows.ERROR_PATH_NOT_FOUND:        abi.ENOENT,
	windows.ERROR_PRIVILEGE_NOT_HELD:    abi.EPERM,
	windows.ERROR_SHARING_VIOLATION:     abi.EBUSY,
	windows.ERROR_TOO_MANY_OPEN_FILES:   abi.EMFILE,
	windows.ERROR_WRITE_PROTECT:         abi.EROFS,
	syscall.EISDIR:                      abi.EISDIR,
	syscall.ELOOP:                       abi.ELOOP,
	syscall.EINVAL:                      abi.EINVAL,
	syscall.EEXIST:                      abi.EEXIST,
}
