package cosign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	maxKey     = 64 << 10 // bytes of a PEM file
	minRSABits = 2048
)

// Key is the public half of a signing key.
type Key struct {
	id  string
	der []byte
	pub any
}

var errKey = errors.New("not a public key in PEM, as cosign.pub is")

// ParseKey reads a PEM public key: ECDSA, Ed25519 or RSA of at least 2048 bits.
func ParseKey(text []byte) (*Key, error) {
	if len(text) > maxKey {
		return nil, fmt.Errorf("%d bytes: %w", len(text), errKey)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errKey
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKey, err)
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if pub.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is too short, %d are needed", pub.N.BitLen(), minRSABits)
		}
	default:
		return nil, fmt.Errorf("a key of type %T: %w", pub, errKey)
	}
	sum := sha256.Sum256(block.Bytes)
	return &Key{id: hex.EncodeToString(sum[:]), der: block.Bytes, pub: pub}, nil
}

// ID names the key: the SHA-256 of its DER form, in hex.
func (k *Key) ID() string { return k.id }

// PEM is the key as text.
func (k *Key) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der}))
}

// signed tells whether sig is the key's over message. Hash and padding are
// those of cosign: SHA-256 for every key but Ed25519, PKCS #1 v1.5 for RSA.
func (k *Key) signed(message, sig []byte) bool {
	sum := sha256.Sum256(message)
	switch pub := k.pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, sum[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}
