package consent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/internal/atomicfile"
)

// Files beside the store. Both stay small and could live in a keychain.
const (
	keyFile  = "key"        // 32 random bytes, 0600
	markFile = "generation" // decimal number of the newest set of rules
	keySize  = 32
)

// seal makes the MACs of the store.
type seal struct{ key []byte }

// rules seals the whole set of rules, its generation and the high-water time:
// an edited, a missing and an added rule show.
func (s seal) rules(generation uint64, high int64, rules []Rule) []byte {
	h := hmac.New(sha256.New, s.key)
	writeText(h, "consentry rules 1")
	writeNumber(h, int64(generation)) //nolint:gosec // bits, not a value
	writeNumber(h, high)
	sorted := slices.Clone(rules)
	slices.SortFunc(sorted, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	writeNumber(h, int64(len(sorted)))
	for _, r := range sorted {
		for _, text := range []string{
			r.ID, string(r.App), r.AppName, r.Run, string(r.Kind), r.Target,
			r.Verdict.String(), string(r.Lifetime), r.By,
		} {
			writeText(h, text)
		}
		writeNumber(h, toNano(r.Expires))
		writeNumber(h, toNano(r.Since))
	}
	return h.Sum(nil)
}

// head seals the end of the ledger, so that lines cut off show.
func (s seal) head(seq uint64, digest []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	writeText(h, "consentry ledger 1")
	writeNumber(h, int64(seq)) //nolint:gosec // bits, not a value
	writeText(h, string(digest))
	return h.Sum(nil)
}

// inbox seals one request that waits: who edits it would be answered for.
func (s seal) inbox(id string, body []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	writeText(h, "consentry inbox 1")
	writeText(h, id)
	writeText(h, string(body))
	return h.Sum(nil)
}

var errNoKey = errors.New("the key of the store is missing")

func readKey(dir string) ([]byte, error) {
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNoKey
	case err != nil:
		return nil, err
	case len(key) != keySize:
		return nil, fmt.Errorf("the key of the store has %d bytes, want %d", len(key), keySize)
	}
	return key, os.Chmod(filepath.Join(dir, keyFile), 0o600)
}

func makeKey(dir string) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	return key, atomicfile.Write(filepath.Join(dir, keyFile), key, 0o600)
}

// readMark is 0 if no store was ever completed here.
func readMark(dir string) (uint64, error) {
	text, err := os.ReadFile(filepath.Join(dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	mark, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63)
	if err != nil || mark == 0 {
		return 0, errors.New("the generation mark is not a number")
	}
	return mark, nil
}

func writeMark(dir string, generation uint64) error {
	text := strconv.FormatUint(generation, 10) + "\n"
	return atomicfile.Write(filepath.Join(dir, markFile), []byte(text), 0o600)
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newID is n characters that can be typed, 5 random bits each.
func newID(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	return idEncoding.EncodeToString(raw)[:n]
}

func newNonce() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}
