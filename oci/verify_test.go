package oci

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/oci/cosign"
)

// signer signs as cosign does.
type signer struct {
	t       *testing.T
	private *ecdsa.PrivateKey
	public  *cosign.Key
}

func newSigner(t *testing.T) signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cosign.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, private, public}
}

func (s signer) sign(message []byte) []byte {
	sum := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, s.private, sum[:])
	if err != nil {
		s.t.Fatal(err)
	}
	return sig
}

// signature is the manifest of a signature of digest, which says it is of ref.
func (s signer) signature(ref, digest string) v1.Image {
	s.t.Helper()
	text := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, ref, digest)
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer(text, cosign.SimpleSigning),
		Annotations: map[string]string{cosign.SignatureOf: base64.StdEncoding.EncodeToString(s.sign(text))},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return img
}

// bundle is the manifest of a signature in the newer format.
func (s signer) bundle(digest v1.Hash) v1.Image {
	s.t.Helper()
	const kind = "application/vnd.in-toto+json"
	body := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1"}`, digest.Hex)
	message := append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(kind), kind, len(body)), body...)
	raw, err := json.Marshal(map[string]any{"mediaType": cosign.BundleType, "dsseEnvelope": map[string]any{
		"payload": body, "payloadType": kind, "signatures": []any{map[string]any{"sig": s.sign(message)}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{Layer: static.NewLayer(raw, cosign.BundleType)})
	if err != nil {
		s.t.Fatal(err)
	}
	return img
}

func digestOf(t *testing.T, img interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// attach makes img a referrer of a manifest, whose descriptor is made up of its digest.
func attach(t *testing.T, img v1.Image, to v1.Image) v1.Image {
	t.Helper()
	size, err := to.Size()
	if err != nil {
		t.Fatal(err)
	}
	kind, err := to.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Subject(img, v1.Descriptor{MediaType: kind, Size: size, Digest: digestOf(t, to)}).(v1.Image)
}

func TestVerify(t *testing.T) {
	srv := httptest.NewServer(memory.New(memory.Logger(discardLog()), memory.WithReferrersSupport(true)))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	key, other := newSigner(t), newSigner(t)
	for name, sign := range map[string]func(repo string, img v1.Image){
		"tag": func(repo string, img v1.Image) {
			d := digestOf(t, img)
			push(t, repo+":sha256-"+d.Hex+".sig", key.signature(repo, d.String()))
		},
		"referrer": func(repo string, img v1.Image) {
			one := attach(t, key.signature(repo, digestOf(t, img).String()), img)
			push(t, repo+"@"+digestOf(t, one).String(), one)
		},
		"bundle": func(repo string, img v1.Image) {
			one := attach(t, key.bundle(digestOf(t, img)), img)
			push(t, repo+"@"+digestOf(t, one).String(), one)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := openTest(t)
			repo := host + "/" + name
			img := small(t)
			push(t, repo, img)
			src := source(t, repo)
			if _, err := s.Pull(t.Context(), src, PullOptions{Verify: key.public}); !errors.Is(err, ErrUnsigned) {
				t.Fatalf("unsigned: %v", err)
			}
			sign(repo, img)
			if _, err := s.Pull(t.Context(), src, PullOptions{Verify: other.public}); !errors.Is(err, ErrUnsigned) {
				t.Errorf("by another key: %v", err)
			}
			plain, err := s.Pull(t.Context(), src, PullOptions{})
			if err != nil || plain.Signer != "" || plain.Publisher != "" {
				t.Fatalf("nobody asked: %+v, %v", plain, err)
			}
			got, err := s.Pull(t.Context(), src, PullOptions{Verify: key.public})
			if err != nil || got.Signer != key.public.ID() || got.Publisher != "key:"+key.public.ID() {
				t.Fatalf("signed: %+v, %v", got, err)
			}
			if _, err := s.Pull(t.Context(), src, PullOptions{Verify: other.public, Policy: PullNever}); !errors.Is(err, ErrUnsigned) {
				t.Errorf("stored, and by another key: %v", err)
			}
			// The tag moves to what the key never saw.
			push(t, repo, imageOf(t, v1.Config{}, layerOf(t, file{name: "evil", body: "evil"})))
			if _, err := s.Pull(t.Context(), src, PullOptions{Verify: key.public, Policy: PullAlways}); !errors.Is(err, ErrUnsigned) {
				t.Errorf("moved: %v", err)
			}
		})
	}
}

// TestSignatureOfAnotherImage: neither a signature that was copied to the name
// of another image's, nor one of the same bytes under another name, counts.
func TestSignatureOfAnotherImage(t *testing.T) {
	host, key := serve(t), newSigner(t)
	victim, evil := small(t), imageOf(t, v1.Config{}, layerOf(t, file{name: "evil", body: "evil"}))
	push(t, host+"/evil", evil)
	push(t, host+"/evil:sha256-"+digestOf(t, evil).Hex+".sig", key.signature(host+"/evil", digestOf(t, victim).String()))
	push(t, host+"/copy", victim)
	push(t, host+"/copy:sha256-"+digestOf(t, victim).Hex+".sig", key.signature(host+"/original", digestOf(t, victim).String()))
	s, _ := openTest(t)
	for _, ref := range []string{"/evil", "/copy"} {
		if _, err := s.Pull(t.Context(), source(t, host+ref), PullOptions{Verify: key.public}); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// TestSignedIndex: a signature of the index covers the image in it. The
// registry is Debian's, which knows no referrers.
func TestSignedIndex(t *testing.T) {
	host, key := debianRegistry(t, "ann", "secret"), newSigner(t)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	logIn(t, host, "ann:secret")
	here, err := platformOf("")
	if err != nil {
		t.Fatal(err)
	}
	img := small(t)
	sbom, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer([]byte(`{}`), "application/vnd.in-toto+json"), Annotations: map[string]string{predicateOfLayer: "https://spdx.dev/Document"},
	})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &here}},
		mutate.IndexAddendum{Add: sbom, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{dockerReferenceType: "attestation-manifest", dockerReferenceDigest: digestOf(t, img).String()},
		}})
	write := func(tag string, what remote.Taggable) {
		t.Helper()
		ref, err := name.ParseReference(host + "/multi:" + tag)
		if err == nil {
			err = remote.Push(ref, what, remote.WithAuthFromKeychain(authn.DefaultKeychain))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("1", index)
	s, _ := openTest(t)
	src := source(t, host+"/multi:1")
	if _, err := s.Pull(t.Context(), src, PullOptions{Verify: key.public}); !errors.Is(err, ErrUnsigned) {
		t.Fatalf("unsigned: %v", err)
	}
	write("sha256-"+digestOf(t, index).Hex+".sig", key.signature(host+"/multi", digestOf(t, index).String()))
	if _, err := s.Pull(t.Context(), src, PullOptions{Verify: key.public}); err != nil {
		t.Fatal(err)
	}
	att, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer([]byte(`{}`), "application/vnd.dsse.envelope.v1+json"), Annotations: map[string]string{cosignPredicate: "https://slsa.dev/provenance/v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	write("sha256-"+digestOf(t, img).Hex+".att", att)
	list, err := s.Attachments(t.Context(), src.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, a.Kind+" "+a.Where)
	}
	if want := "provenance tag, signature tag, sbom index"; strings.Join(got, ", ") != want {
		t.Errorf("attachments %q, want %q", got, want)
	}
}
