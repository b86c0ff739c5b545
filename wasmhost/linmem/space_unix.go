//go:build unix

package linmem

import "golang.org/x/sys/unix"

func reserve(n uint64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(n), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

func commit(space []byte, from, to uint64) error {
	return unix.Mprotect(space[from:to], unix.PROT_READ|unix.PROT_WRITE)
}

// release cannot fail for a mapping that reserve made.
func release(space []byte) { _ = unix.Munmap(space) }
