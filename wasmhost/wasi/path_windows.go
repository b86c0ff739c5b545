package wasi

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const nonblock = 0

func (t target) parent() (*os.File, string, error) { return nil, "", fs.ErrInvalid }

// between has no call on Windows that is relative to two open directories; a
// guest copies instead, as it does between file systems.
func between(_, _ target, _ func()) error { return windows.ERROR_NOT_SAME_DEVICE }

func renameAt() {}
func linkAt()   {}
