package consent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Reset puts a damaged store aside, so that the next Open makes a new one with
// no rules in it: everything is asked about again. The old files are kept in a
// folder beside, whose path is returned. No engine may have the store open.
func Reset(dir string, now time.Time) (kept string, err error) {
	kept = filepath.Join(dir, "damaged-"+now.UTC().Format("20060102-150405"))
	if err := os.Mkdir(kept, 0o700); err != nil {
		return "", fmt.Errorf("reset consent store: %w", err)
	}
	// The mark goes last: until then the rest being gone still denies.
	for _, name := range []string{storeFile, storeFile + "-wal", storeFile + "-shm", keyFile, markFile} {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(kept, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return kept, fmt.Errorf("reset consent store: %w", err)
		}
	}
	return kept, nil
}
