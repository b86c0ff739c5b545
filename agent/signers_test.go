//go:build unix

package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/oci/cosign"
)

// registryWorld is a registry with one repository, and a key that signs.
type registryWorld struct {
	*testAgent
	repo    string
	private ed25519.PrivateKey
	key     string // PEM
}

func newRegistryWorld(t *testing.T) *registryWorld {
	t.Helper()
	srv := httptest.NewServer(memory.New(memory.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return &registryWorld{
		testAgent: newTestAgent(t), repo: strings.TrimPrefix(srv.URL, "http://") + "/team/app",
		private: private, key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	}
}

func (w *registryWorld) push(tag string, img v1.Image) string {
	w.t.Helper()
	ref, err := name.ParseReference(w.repo + ":" + tag)
	if err == nil {
		err = remote.Write(ref, img)
	}
	digest, digestErr := img.Digest()
	if err := errors.Join(err, digestErr); err != nil {
		w.t.Fatal(err)
	}
	return digest.Hex
}

// release pushes an image that nobody has seen before.
func (w *registryWorld) release(signed bool) {
	w.t.Helper()
	img, err := random.Image(1<<10, 1)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{Cmd: []string{"/x"}})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	hex := w.push("1", img)
	if signed {
		w.sign(hex)
	}
}

// sign adds a signature of a manifest.
func (w *registryWorld) sign(hex string) {
	w.t.Helper()
	text := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":"sha256:%s"},"type":"cosign container image signature"}}`, w.repo, hex)
	signature, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:       static.NewLayer(text, cosign.SimpleSigning),
		Annotations: map[string]string{cosign.SignatureOf: base64.StdEncoding.EncodeToString(ed25519.Sign(w.private, text))},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.push("sha256-"+hex+".sig", signature)
}

func (w *registryWorld) pullNow(verify string) (*oci.Image, error) {
	return w.pull(w.t.Context(), api.PullRequest{Source: w.repo + ":1", Pull: oci.PullAlways, Verify: verify}, func(api.Progress) {})
}

// TestKeyIsKept: a key that was given once must sign every later image of the
// repository. What the app was given stays with the key, whatever the digest;
// without a key a new digest is a new app.
func TestKeyIsKept(t *testing.T) {
	w := newRegistryWorld(t)
	w.release(true)
	unchecked, err := w.pullNow("")
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.pullNow(w.key)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := appOf(unchecked).ID(), appOf(first).ID(); a == b || !strings.HasPrefix(string(b), "pub:key:") {
		t.Errorf("ids %s and %s", a, b)
	}
	w.release(true)
	second, err := w.pullNow("")
	if err != nil || second.Digest == first.Digest || appOf(second).ID() != appOf(first).ID() {
		t.Errorf("a signed update: %+v, %v", second, err)
	}
	w.release(false)
	if _, err := w.pullNow(""); !errors.Is(err, oci.ErrUnsigned) {
		t.Errorf("an update that nobody signed: %v", err)
	}
	again, err := openSigners(w.cfg.Data)
	if err != nil || len(again.list()) != 1 {
		t.Errorf("after a start: %+v, %v", again, err)
	}
	list, err := w.client.Signers(t.Context())
	if err != nil || len(list) != 1 || list[0].Repository != w.repo || list[0].Key != w.key || len(list[0].ID) != 64 {
		t.Errorf("signers: %+v, %v", list, err)
	}
	if err := w.client.RemoveSigner(t.Context(), w.repo); err != nil {
		t.Fatal(err)
	}
	third, err := w.pullNow("")
	if err != nil || string(appOf(third).ID()) != third.Digest {
		t.Errorf("without a key: %+v, %v", third, err)
	}
	image, err := w.client.Image(t.Context(), second.Digest, true)
	if err != nil || len(image.Attachments) != 1 || image.Attachments[0].Kind != "signature" {
		t.Errorf("inspect shows %+v, %s, %v", image.Attachments, image.AttachmentsError, err)
	}
}

// TestDamagedSignersStopTheAgent: a key that is forgotten would let an unsigned
// image in.
func TestDamagedSignersStopTheAgent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, signersFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := openSigners(dir); err == nil {
		t.Errorf("opened %+v", s)
	}
}

// TestModulesAreSignedToo: what a key must sign is checked of modules as well,
// also of one that is here already.
func TestModulesAreSignedToo(t *testing.T) {
	w := newRegistryWorld(t)
	raw, err := os.ReadFile(w.module("tool.wasm", "one"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.wasm.config.v0+json"),
		mutate.Addendum{Layer: static.NewLayer(raw, "application/wasm")})
	if err != nil {
		t.Fatal(err)
	}
	hex := w.push("1", img)
	prepare := func(verify string) (*record, error) {
		return w.prepare(t.Context(), api.RunRequest{Source: w.repo + ":1", Verify: verify}, func(api.Progress) {})
	}
	if rec, err := prepare(""); err != nil || rec.App.Publisher != "" {
		t.Fatalf("nobody asked: %+v, %v", rec, err)
	}
	if _, err := prepare(w.key); !errors.Is(err, oci.ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	w.sign(hex)
	rec, err := prepare(w.key)
	if err != nil || !strings.HasPrefix(string(rec.App.ID()), "pub:key:") || rec.Spec.Module == nil {
		t.Errorf("signed: %+v, %v", rec, err)
	}
	if _, err := w.prepare(t.Context(), api.RunRequest{Source: w.module("local.wasm", "x"), Verify: w.key}, func(api.Progress) {}); err == nil {
		t.Error("a file was taken for signed")
	}
}

// pushModule pushes a module that asks for a host.
func (w *registryWorld) pushModule(salt string, signed bool) {
	w.t.Helper()
	raw, err := os.ReadFile(w.module("tool.wasm", salt, connect("api.test", "to work")))
	if err != nil {
		w.t.Fatal(err)
	}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.wasm.config.v0+json"),
		mutate.Addendum{Layer: static.NewLayer(raw, "application/wasm")})
	if err != nil {
		w.t.Fatal(err)
	}
	if hex := w.push("1", img); signed {
		w.sign(hex)
	}
}

// TestDriftAsksAgain: a tag that moved is another app, which is asked about
// everything anew; one that the same key has signed is the same app.
func TestDriftAsksAgain(t *testing.T) {
	for _, signed := range []bool{false, true} {
		w := newRegistryWorld(t)
		req := api.RunRequest{Source: w.repo + ":1", Pull: oci.PullAlways}
		if signed {
			req.Verify = w.key
		}
		w.pushModule("one", signed)
		first := w.run(req)
		w.answer(w.review(first), api.ReviewAnswer{Verdict: "allow", Lifetime: "always"})
		first.next(api.FrameExit)
		w.runs(w.run(req)) // nothing has changed
		w.pushModule("two", signed)
		req.Verify = ""
		second := w.run(req)
		if signed {
			w.runs(second)
			continue
		}
		if r := w.review(second); len(r.Lines) != 1 || r.Update {
			t.Errorf("the review of another app: %+v", r)
		}
	}
}
