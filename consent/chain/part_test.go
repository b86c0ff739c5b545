package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"
)

// Nobody has the key of these parts: what is proved is forged.
func FuzzVerify(f *testing.F) {
	key := hex.EncodeToString(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if proof, err := Verify(bytes.NewReader(raw), key, nil); err == nil {
			t.Errorf("%+v: proved without a key", proof)
		}
	})
}
