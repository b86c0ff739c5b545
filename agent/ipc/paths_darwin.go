package ipc

// maxSocketPath is sun_path without its final NUL, in bytes.
const maxSocketPath = 103

func systemPaths(u User) (Paths, error) { return DarwinPaths(u) }
