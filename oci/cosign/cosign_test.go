package cosign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var claim = Claim{Digests: []string{digest}, Repository: "docker.io/library/web"}

func text(kind, about, name string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, name, about, kind)
}

func good() []byte { return text(signaturePhrase, digest, "index.docker.io/library/web") }

func publicKey(t testing.TB, private crypto.Signer) *Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, private crypto.Signer, message []byte) []byte {
	t.Helper()
	var opts crypto.SignerOpts = crypto.SHA256
	sum := sha256.Sum256(message)
	hashed := sum[:]
	if _, is := private.(ed25519.PrivateKey); is {
		opts, hashed = crypto.Hash(0), message
	}
	sig, err := private.Sign(rand.Reader, hashed, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	r, err4 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"P-256": p256, "P-384": p384, "Ed25519": ed, "RSA": r}
}

func TestSimple(t *testing.T) {
	for name, private := range keys(t) {
		t.Run(name, func(t *testing.T) {
			k := publicKey(t, private)
			try := func(body []byte, want Claim) error {
				return k.Simple(body, base64.StdEncoding.EncodeToString(sign(t, private, body)), want)
			}
			if err := try(good(), claim); err != nil {
				t.Fatal(err)
			}
			if err := try(text(signaturePhrase, digest, ""), claim); err != nil {
				t.Errorf("no identity: %v", err)
			}
			for what, body := range map[string][]byte{
				"another digest": text(signaturePhrase, "sha256:"+strings.Repeat("f", 64), "docker.io/library/web"),
				"another image":  text(signaturePhrase, digest, "docker.io/library/web2"),
				"another kind":   text("an attestation", digest, "docker.io/library/web"),
				"no JSON":        []byte("x"),
			} {
				if err := try(body, claim); !errors.Is(err, ErrNotSigned) {
					t.Errorf("%s: %v", what, err)
				}
			}
			sig := base64.StdEncoding.EncodeToString(sign(t, private, good()))
			for what, err := range map[string]error{
				"changed text":  k.Simple(append(good(), ' '), sig, claim),
				"no signature":  k.Simple(good(), "", claim),
				"no base64":     k.Simple(good(), "!", claim),
				"another's key": publicKey(t, keys(t)[name]).Simple(good(), sig, claim),
			} {
				if !errors.Is(err, ErrNotSigned) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// TestMadeByCosign: what cosign itself wrote, in both of its formats; no other
// key, image or name takes it.
func TestMadeByCosign(t *testing.T) {
	file := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join("testdata", "made-by-cosign", name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	key, err := ParseKey(file("key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	signed := Claim{Digests: []string{string(file("digest.txt"))}, Repository: "registry.example/team/old"}
	formats := map[string]func(*Key, Claim) error{
		"simple signing": func(k *Key, c Claim) error { return k.Simple(file("payload.json"), string(file("signature.txt")), c) },
		"bundle":         func(k *Key, c Claim) error { return k.Bundle(file("bundle.json"), c) },
	}
	for name, check := range formats {
		if err := check(key, signed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := check(key, Claim{Digests: []string{digest}, Repository: signed.Repository}); !errors.Is(err, ErrNotSigned) {
			t.Errorf("%s of another image: %v", name, err)
		}
		if err := check(publicKey(t, keys(t)["P-256"]), signed); !errors.Is(err, ErrNotSigned) {
			t.Errorf("%s by another key: %v", name, err)
		}
	}
	signed.Repository = "registry.example/team/new"
	if err := formats["simple signing"](key, signed); !errors.Is(err, ErrNotSigned) {
		t.Errorf("another name: %v", err)
	}
}

func bundleOf(t testing.TB, private crypto.Signer, predicate, about string) []byte {
	t.Helper()
	body := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, about, predicate)
	raw, err := json.Marshal(map[string]any{"mediaType": BundleType, "dsseEnvelope": map[string]any{
		"payload": body, "payloadType": statementType, "signatures": []any{map[string]any{"sig": sign(t, private, preAuth(statementType, body))}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestBundle(t *testing.T) {
	for name, private := range keys(t) {
		k, hex := publicKey(t, private), strings.TrimPrefix(digest, "sha256:")
		if err := k.Bundle(bundleOf(t, private, signPredicate, hex), claim); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, raw := range map[string][]byte{
			"an attestation by the key": bundleOf(t, private, "https://spdx.dev/Document", hex),
			"another image":             bundleOf(t, private, signPredicate, strings.Repeat("f", 64)),
			"another key":               bundleOf(t, keys(t)[name], signPredicate, hex),
			"nothing":                   []byte(`{}`),
			"no JSON":                   []byte(`x`),
		} {
			if err := k.Bundle(raw, claim); !errors.Is(err, ErrNotSigned) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestPreAuth(t *testing.T) { // the example of DSSE's protocol.md
	if got := string(preAuth("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Error(got)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"short":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"private": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: der}),
		"no PEM":  []byte("ssh-ed25519 AAAA"),
		"huge":    make([]byte, maxKey+1),
	} {
		if k, err := ParseKey(raw); err == nil {
			t.Errorf("%s: %v", name, k)
		}
	}
}

func FuzzSignature(f *testing.F) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	k := publicKey(f, private)
	f.Add(good(), "AAAA")
	f.Add([]byte(`{"dsseEnvelope":{"signatures":[{}]}}`), "")
	f.Fuzz(func(t *testing.T, body []byte, sig string) {
		if k.Simple(body, sig, claim) == nil || k.Bundle(body, claim) == nil {
			t.Error("a signature that nobody made")
		}
	})
}
