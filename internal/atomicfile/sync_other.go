//go:build !unix

package atomicfile

// syncDir has nothing to do where a rename is durable by itself (NTFS logs it).
func syncDir(string) error { return nil }
