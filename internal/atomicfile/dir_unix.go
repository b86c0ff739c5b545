//go:build unix

package atomicfile

import "os"

// syncDir puts the new name on disk: a rename is only durable once the folder is.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
