package userdata

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/consentry/consentry/data"
)

// Bounds of what is read of files and servers.
const (
	maxSource  = 32 << 20 // bytes of one account
	maxEntries = 20_000   // files of a folder
	maxFound   = 50_000   // records of one account
)

var errTooMuch = errors.New("it has more than is read at once")

// readFiles reads one file, or all of a folder with the ending.
func readFiles(path, ending string, read func([]byte) ([]data.Record, error)) ([]data.Record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	folder, names := path, []string{}
	if !info.IsDir() {
		folder, names = filepath.Dir(path), []string{filepath.Base(path)}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info.IsDir() {
		if names, err = namesIn(root, ending); err != nil {
			return nil, err
		}
	}
	var all []data.Record
	left := int64(maxSource)
	for _, name := range names {
		raw, err := readIn(root, name, left)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		left -= int64(len(raw))
		records, err := read(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if all = append(all, records...); len(all) > maxFound {
			return nil, errTooMuch
		}
	}
	return all, nil
}

func namesIn(root *os.Root, ending string) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEntries {
		return nil, errTooMuch
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.EqualFold(filepath.Ext(e.Name()), ending) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func readIn(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(raw)) > most {
		err = errTooMuch
	}
	return raw, err
}
