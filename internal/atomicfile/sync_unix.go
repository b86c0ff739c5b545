//go:build unix

package atomicfile

import "os"

// SyncDir makes what was made, renamed and removed in dir last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
