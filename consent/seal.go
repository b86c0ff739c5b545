package consent

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/consent/chain"
)

const keySize = 32

// seal makes the MACs of the store and the signature of the ledger.
type seal struct {
	key  []byte
	sign ed25519.PrivateKey
}

// newSeal derives the key that signs from the one that seals, so that the
// keychain holds one secret.
func newSeal(key []byte) (seal, error) {
	seed, err := hkdf.Key(sha256.New, key, nil, "consentry ledger signature 1", ed25519.SeedSize)
	if err != nil {
		return seal{}, fmt.Errorf("derive the signing key: %w", err)
	}
	return seal{key, ed25519.NewKeyFromSeed(seed)}, nil
}

func (s seal) public() ed25519.PublicKey { return s.sign.Public().(ed25519.PublicKey) }

// rules seals the whole set of rules, its generation and the high-water time:
// an edited, a missing and an added rule show. A set with shapes in it has
// another first word, so that one without is what it was before there were any.
func (s seal) rules(generation uint64, high int64, rules []Rule) []byte {
	h := hmac.New(sha256.New, s.key)
	shaped := slices.ContainsFunc(rules, func(r Rule) bool { return r.Shape != "" })
	if shaped {
		chain.WriteText(h, "consentry rules 2")
	} else {
		chain.WriteText(h, "consentry rules 1")
	}
	chain.WriteNumber(h, int64(generation)) //nolint:gosec // bits, not a value
	chain.WriteNumber(h, high)
	sorted := slices.Clone(rules)
	slices.SortFunc(sorted, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	chain.WriteNumber(h, int64(len(sorted)))
	for _, r := range sorted {
		for _, text := range []string{
			r.ID, string(r.App), r.AppName, r.Run, string(r.Kind), r.Target,
			r.Verdict.String(), string(r.Lifetime), r.By,
		} {
			chain.WriteText(h, text)
		}
		if shaped {
			chain.WriteText(h, r.Shape)
		}
		chain.WriteNumber(h, toNano(r.Expires))
		chain.WriteNumber(h, toNano(r.Since))
	}
	return h.Sum(nil)
}

// inbox seals one request that waits: who edits it would be answered for.
func (s seal) inbox(id string, body []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	chain.WriteText(h, "consentry inbox 1")
	chain.WriteText(h, id)
	chain.WriteText(h, string(body))
	return h.Sum(nil)
}

// ends are the places where the ledger begins and ends.
//
//	floor ── archives ──▶ anchor ── lines in the store ──▶ head
type ends struct{ floor, anchor, head chain.Point }

// signature of the ends: lines cut off at either side, or from the middle, show.
func (s seal) signature(e ends) []byte { return ed25519.Sign(s.sign, e.message()) }

func (e ends) message() []byte {
	h := sha256.New()
	chain.WriteText(h, "consentry ledger 2")
	for _, p := range []chain.Point{e.floor, e.anchor, e.head} {
		p.Write(h)
	}
	return h.Sum(nil)
}

var errNoKey = errors.New("the key of the store is missing")

func readKey(k Keychain) ([]byte, error) {
	key, err := k.Get(KeyValue)
	switch {
	case err != nil:
		return nil, noKeychain{fmt.Errorf("read the key: %w", err)}
	case len(key) == 0:
		return nil, errNoKey
	case len(key) != keySize:
		return nil, fmt.Errorf("the key of the store has %d bytes, want %d", len(key), keySize)
	}
	return key, nil
}

func makeKey(k Keychain) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	if err := k.Set(KeyValue, key); err != nil {
		return nil, noKeychain{fmt.Errorf("write the key: %w", err)}
	}
	return key, nil
}

// readMark is 0 if no store was ever completed here.
func readMark(k Keychain) (uint64, error) {
	text, err := k.Get(MarkValue)
	if err != nil {
		return 0, noKeychain{fmt.Errorf("read the generation mark: %w", err)}
	}
	if len(text) == 0 {
		return 0, nil
	}
	mark, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63)
	if err != nil || mark == 0 {
		return 0, errors.New("the generation mark is not a number")
	}
	return mark, nil
}

func writeMark(k Keychain, generation uint64) error {
	if err := k.Set(MarkValue, []byte(strconv.FormatUint(generation, 10)+"\n")); err != nil {
		return noKeychain{fmt.Errorf("write the generation mark: %w", err)}
	}
	return nil
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
