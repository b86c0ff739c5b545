package consent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consentry/consentry/internal/atomicfile"
)

// Reset puts a damaged store aside, so that the next Open makes a new one with
// no rules in it: everything is asked about again. The old files are kept in a
// folder beside, whose path is returned, and with them the key, so that they can
// be studied. No engine may have the store open. k nil: files in dir.
func Reset(dir string, k Keychain, now time.Time) (kept string, err error) {
	if k == nil {
		k = Files(dir)
	}
	kept = filepath.Join(dir, "damaged-"+now.UTC().Format("20060102-150405"))
	if err := os.Mkdir(kept, 0o700); err != nil {
		return "", fmt.Errorf("reset consent store: %w", err)
	}
	if err := putAside(dir, kept, k); err != nil {
		return kept, fmt.Errorf("reset consent store: %w", err)
	}
	return kept, nil
}

// putAside takes the mark away last: until then the rest being gone still denies.
// The log of SQLite goes after its database, to which alone it fits.
func putAside(dir, kept string, k Keychain) error {
	for _, name := range []string{KeyValue, MarkValue} {
		if value, err := k.Get(name); err == nil && len(value) > 0 {
			if err := atomicfile.Write(filepath.Join(kept, name), value, 0o600); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{storeFile, storeFile + "-wal", storeFile + "-shm", ledgerFolder} {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(kept, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	for _, name := range []string{KeyValue, MarkValue} {
		if err := k.Set(name, nil); err != nil {
			return err
		}
	}
	return nil
}
