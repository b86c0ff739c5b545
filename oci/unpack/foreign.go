package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// ErrForeign is wrapped by errors about names that another system's file
// system does not hold, or takes for one another.
var ErrForeign = errors.New("this file system cannot hold the image's names")

// Naming is how a file system that is not Linux's takes names.
type Naming struct {
	fold  func(string) string // equal for names that are one
	holds func(string) bool   // a single component
}

// APFS is macOS's, as it is formatted by default: without regard to case and
// to how a letter is composed.
func APFS() Naming {
	return Naming{fold: caseless, holds: func(string) bool { return true }}
}

// NTFS is Windows's: without regard to case, and with names that are devices.
func NTFS() Naming { return Naming{fold: upper, holds: onWindows} }

// sharpS is the one letter in use that folds to two.
var sharpS = strings.NewReplacer("ß", "ss", "ẞ", "ss")

// caseless is canonical caseless matching (Unicode, D145), with the foldings of
// single letters: x/text/cases has all, for 340 kB and time at every start.
func caseless(s string) string {
	return norm.NFD.String(strings.Map(folded, sharpS.Replace(norm.NFD.String(s))))
}

// folded is the least of the letters that differ from r by case alone.
func folded(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// upper maps each letter for itself, as NTFS's table does.
func upper(s string) string { return strings.Map(unicode.ToUpper, s) }

// windowsDevices cannot be names, whatever follows behind a dot.
var windowsDevices = map[string]bool{"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true}

// onWindows tells whether Win32 makes a file of exactly this name
// (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
func onWindows(name string) bool {
	if strings.ContainsAny(name, `<>:"\|?*`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return false
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return false
	}
	stem, _, _ := strings.Cut(name, ".")
	stem = upper(strings.TrimRight(stem, " "))
	return !windowsDevices[stem] && !isPort(stem)
}

// isPort knows COM1 and its like; superscript digits count too.
func isPort(stem string) bool {
	for _, kind := range []string{"COM", "LPT"} {
		digit, is := strings.CutPrefix(stem, kind)
		if is && digit != "" && strings.Contains("0123456789¹²³", digit) && len([]rune(digit)) == 1 {
			return true
		}
	}
	return false
}

// names are the paths that were taken so far, as the file system sees them.
type names struct {
	on   Naming
	most int64             // paths
	seen map[string]string // by what they fold to
}

// take adds a clean path and those of its parents.
func (n *names) take(path string) error {
	for at := path; at != "."; at, _ = split(at) {
		folded := n.on.fold(at)
		first, is := n.seen[folded]
		if is && first == at {
			return nil // its parents too
		}
		if is {
			return fmt.Errorf("%.200q and %.200q are one name: %w", first, at, ErrForeign)
		}
		if _, base := split(at); !n.on.holds(base) {
			return fmt.Errorf("%.200q is no name: %w", at, ErrForeign)
		}
		if int64(len(n.seen)) >= n.most {
			return hostile(path, "more than %d names", n.most)
		}
		n.seen[folded] = at
	}
	return nil
}

// CheckNames reads the tar stream of a layer up to the first name that a file
// system which takes names in this way would lose. The error wraps ErrForeign.
func CheckNames(ctx context.Context, r io.Reader, on Naming, limits Limits) error {
	seen := &names{on: on, most: limits.Entries, seen: map[string]string{}}
	left := &budget{limits: limits}
	for tr := tar.NewReader(r); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := left.entry(hdr.Name, hdr.Size); err != nil {
			return err
		}
		if err := seen.header(hdr); err != nil {
			return err
		}
	}
}

// header takes the name of an entry, unless that is no file of the image.
func (n *names) header(hdr *tar.Header) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	path, err := cleanName(hdr.Name)
	if err != nil {
		return err
	}
	role, _, _, err := roleOf(path)
	if err != nil || role != ordinary {
		return err
	}
	return n.take(path)
}
