package cosign

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Media types and annotations of signatures in a registry.
const (
	SimpleSigning   = "application/vnd.dev.cosign.simplesigning.v1+json" // a layer: the payload
	SignatureOf     = "dev.cosignproject.cosign/signature"               // its annotation: the signature
	ArtifactType    = "application/vnd.dev.cosign.artifact.sig.v1+json"  // of a referrer with such layers
	BundleType      = "application/vnd.dev.sigstore.bundle.v0.3+json"    // of a referrer with a bundle
	MaxPayload      = 256 << 10                                          // bytes
	statementType   = "application/vnd.in-toto+json"
	signPredicate   = "https://sigstore.dev/cosign/sign/v1"
	signaturePhrase = "cosign container image signature"
	atomicPhrase    = "atomic container signature"
)

// ErrNotSigned is wrapped when a signature is not the one that is looked for.
var ErrNotSigned = errors.New("not a signature of this image by this key")

func notSigned(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrNotSigned)
}

// Claim is what a signature must be about.
type Claim struct {
	Digests    []string // "sha256:…": one of them; an index vouches for what it lists
	Repository string   // "registry/repository" as docker writes it
}

// payload is the signed text in the "simple signing" format of
// containers/image (docs/containers-signature.5.md).
type payload struct {
	Critical struct {
		Type  string
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		}
		Identity struct {
			Reference string `json:"docker-reference"`
		}
	}
}

// Simple checks a payload and its signature in base64. An empty identity is
// taken: old versions of cosign wrote none.
func (k *Key) Simple(text []byte, signature string, want Claim) error {
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return notSigned("the signature is no base64")
	}
	if !k.signed(text, sig) {
		return notSigned("by another key, or the text was changed")
	}
	var p payload
	if err := json.Unmarshal(text, &p); err != nil {
		return notSigned("the payload is no JSON")
	}
	switch c := p.Critical; {
	case c.Type != signaturePhrase && c.Type != atomicPhrase:
		return notSigned("it is of type %.100q", c.Type)
	case !slices.Contains(want.Digests, c.Image.Digest):
		return notSigned("it is about %.100q", c.Image.Digest)
	case c.Identity.Reference != "" && repository(c.Identity.Reference) != want.Repository:
		return notSigned("it is about the image %.200q, not %s", c.Identity.Reference, want.Repository)
	}
	return nil
}

// repository is a reference without tag and digest, in the form of Claim.
func repository(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	if rest, is := strings.CutPrefix(name, "index.docker.io/"); is {
		return "docker.io/" + rest
	}
	return name
}

// bundle is the part of a sigstore bundle that matters with a key.
type bundle struct {
	Envelope struct {
		Payload     []byte
		PayloadType string
		Signatures  []struct{ Sig []byte }
	} `json:"dsseEnvelope"`
}

// statement is what its envelope holds (in-toto, Statement v1).
type statement struct {
	Subject []struct {
		Digest map[string]string
	}
	PredicateType string
}

// Bundle checks a sigstore bundle with a DSSE envelope.
func (k *Key) Bundle(text []byte, want Claim) error {
	var b bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return notSigned("the bundle is no JSON")
	}
	e := b.Envelope
	message := preAuth(e.PayloadType, e.Payload)
	by := func(s struct{ Sig []byte }) bool { return k.signed(message, s.Sig) }
	if !slices.ContainsFunc(e.Signatures, by) {
		return notSigned("by another key, or the text was changed")
	}
	var s statement
	if err := json.Unmarshal(e.Payload, &s); err != nil || e.PayloadType != statementType {
		return notSigned("the payload is no in-toto statement")
	}
	if s.PredicateType != signPredicate {
		return notSigned("it is an attestation of type %.100q", s.PredicateType)
	}
	for _, subject := range s.Subject {
		if slices.Contains(want.Digests, "sha256:"+subject.Digest["sha256"]) {
			return nil
		}
	}
	return notSigned("it is about another image")
}

// preAuth is what is signed of a DSSE envelope (its protocol.md, PAE).
func preAuth(kind string, body []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(kind), kind, len(body)), body...)
}
