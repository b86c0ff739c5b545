package consent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/internal/atomicfile"
)

// Keychain keeps two small values apart from the store: the key that seals it
// and the mark of its newest generation. Whoever can write the store's folder
// but not the keychain can neither forge a rule nor bring an old one back.
//
// A call must end within a bounded time; an error of Get denies everything, one
// of Set the change it belongs to.
type Keychain interface {
	// Get returns nothing, and no error, for a value that was never set.
	Get(name string) ([]byte, error)
	// Set keeps the value for good before it returns nil. An empty one is removed.
	Set(name string, value []byte) error
}

// The values in the keychain, by name.
const (
	KeyValue  = "key"        // 32 random bytes
	MarkValue = "generation" // decimal number of the newest set of rules
)

// maxValue bounds what is read of a value, in bytes.
const maxValue = 4096

// Files is the keychain of a system without one: files of mode 0600 in dir.
func Files(dir string) Keychain { return files{dir} }

type files struct{ dir string }

func (f files) Get(name string) ([]byte, error) {
	file, err := os.Open(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	value, err := io.ReadAll(io.LimitReader(file, maxValue+1))
	switch {
	case err != nil:
		return nil, err
	case len(value) > maxValue:
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxValue)
	}
	return value, file.Chmod(0o600)
}

func (f files) Set(name string, value []byte) error {
	path := filepath.Join(f.dir, name)
	if len(value) > 0 {
		return atomicfile.Write(path, value, 0o600)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(f.dir)
}
