//go:build !linux && !darwin && !windows

package ipc

// maxSocketPath is the smallest sun_path in use, without its final NUL.
const maxSocketPath = 103

func systemPaths(u User) (Paths, error) { return LinuxPaths(u) }
