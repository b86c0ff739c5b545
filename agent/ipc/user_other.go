//go:build !linux

package ipc

import "os"

func userID() int { return os.Getuid() }
