//go:build !unix

package atomicfile

// SyncDir has nothing to do where a rename is durable by itself (NTFS logs it).
func SyncDir(string) error { return nil }
