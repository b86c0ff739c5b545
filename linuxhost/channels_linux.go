package linuxhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// A share's sockets and FIFOs lead to programs of the host: a connect goes
// through a read-only mount, and through namespaces. What lies in a share when
// the app starts is covered; a share that holds too much to look at, or too
// many, is refused.
const (
	maxShareEntries  = 1 << 20
	maxShareChannels = 256
)

// channels lists the sockets and FIFOs below a share, relative to it.
func channels(share string) ([]string, error) {
	root, err := os.OpenRoot(share)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []string
	seen := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		seen++
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
			return nil
		case err != nil:
			return err
		case seen > maxShareEntries:
			return fmt.Errorf("%w: %s holds more than %d files, too many to look for sockets; share a folder in it", sandbox.ErrInvalid, share, maxShareEntries)
		case entry.Type()&(fs.ModeSocket|fs.ModeNamedPipe) == 0:
			return nil
		}
		found = append(found, name)
		if len(found) > maxShareChannels {
			return fmt.Errorf("%w: %s holds more than %d sockets and pipes of other programs; share a folder without them", sandbox.ErrInvalid, share, maxShareChannels)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for sockets in %s: %w", share, err)
	}
	return found, nil
}

// keyrings are folders of a home that hold keys, and sockets of those who
// guard them.
var keyrings = []string{".ssh", ".gnupg", ".password-store", ".local/share/keyrings", ".local/share/kwalletd", ".pki"}

// keyringIn names the keyring that a share lies in, or that it holds as a home
// does, or a folder of homes; "" for none.
func keyringIn(share string) string {
	for _, keyring := range keyrings {
		if strings.Contains(share+"/", "/"+keyring+"/") {
			return share
		}
		for _, home := range []string{share, filepath.Join(share, "*")} {
			held, err := filepath.Glob(filepath.Join(escapeGlob(share), strings.TrimPrefix(home, share), keyring))
			if err == nil && len(held) > 0 {
				return held[0]
			}
		}
	}
	return ""
}

// escapeGlob takes the meaning from what a pattern would read in a path.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// cover lays the sandbox's /dev/null over the channels of a share that was just
// attached at target. Nothing of the app runs yet; a link in a path of the
// share ends the start.
func (b *builder) cover(m target) error {
	for _, name := range m.channels {
		at, err := b.root.openBelow(m.path, name)
		if err != nil {
			return fmt.Errorf("cover %s: %w", name, err)
		}
		err = bindOver(b.root, "/dev/null", at, 0)
		if err := errors.Join(err, at.Close()); err != nil {
			return fmt.Errorf("cover %s: %w", name, err)
		}
	}
	return nil
}

// checkChannels refuses names that no walk gives.
func checkChannels(names []string) error {
	bad := func(name string) bool { return !fs.ValidPath(name) || name == "." || path.IsAbs(name) }
	if len(names) > maxShareChannels || slices.ContainsFunc(names, bad) {
		return fmt.Errorf("%w: sockets of a share", sandbox.ErrInvalid)
	}
	return nil
}
