package ipc

// maxSocketPath has no meaning for named pipes; it is the longest path Windows takes.
const maxSocketPath = 32766

func systemPaths(u User) (Paths, error) { return WindowsPaths(u) }
