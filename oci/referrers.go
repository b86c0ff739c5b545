package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/oci/cosign"
)

// Bounds on what hangs on an image.
const (
	maxReferrers  = 256 // that are looked at
	maxAttachment = 64  // layers of one, that are looked at
)

// Attachment is something a registry has beside an image: a signature, an SBOM,
// a statement about how it was built. It is listed, not believed.
type Attachment struct {
	Kind      string `json:"kind"`           // "signature", "sbom", "provenance", "attestation", "other"
	Type      string `json:"type,omitempty"` // predicate or artifact type
	Digest    string `json:"digest"`         // of its manifest
	Size      int64  `json:"size"`           // bytes
	Of        string `json:"of"`             // digest it is about
	Where     string `json:"where"`          // "referrer", "tag" or "index"
	MediaType string `json:"mediaType,omitempty"`
}

// related is a manifest that is about an image.
type related struct {
	where    string
	artifact string
	desc     v1.Descriptor
	about    string // digest
	manifest *v1.Manifest
}

// docked names of buildkit's annotations in an index.
const (
	dockerReferenceType   = "vnd.docker.reference.type"
	dockerReferenceDigest = "vnd.docker.reference.digest"
	predicateOfLayer      = "in-toto.io/predicate-type" // buildkit's
	cosignPredicate       = "predicateType"             // cosign's
)

// tagSuffixes are cosign's: sha256-HEX.sig and its kin.
var tagSuffixes = []string{".sig", ".att", ".sbom"}

// relatedTo finds what the registry has beside the image with a digest.
func (r *registry) relatedTo(ctx context.Context, digest v1.Hash) ([]related, error) {
	found, err := r.referrers(ctx, digest)
	if err != nil {
		return nil, err
	}
	for _, suffix := range tagSuffixes {
		one, err := r.byTag(ctx, digest, suffix)
		if err != nil {
			return nil, err
		}
		found = append(found, one...)
	}
	return found, nil
}

// byTag looks a manifest up under cosign's name for it.
func (r *registry) byTag(ctx context.Context, digest v1.Hash, suffix string) ([]related, error) {
	raw, kind, err := r.document(ctx, digest.Algorithm+"-"+digest.Hex+suffix)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hash, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, nil //nolint:nilerr // not what we look for
	}
	return []related{{where: "tag", artifact: suffix, desc: v1.Descriptor{MediaType: kind, Digest: hash, Size: size}, about: digest.String(), manifest: m}}, nil
}

// referrers asks for what refers to a digest (distribution spec 1.1), under its
// fallback tag where the registry knows no referrers.
func (r *registry) referrers(ctx context.Context, digest v1.Hash) ([]related, error) {
	raw, err := r.referrersIndex(ctx, digest)
	if err != nil || raw == nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, corrupt("referrers of %s: %w", digest, err)
	}
	var found []related
	for _, d := range index.Manifests {
		if len(found) == maxReferrers || !isSHA256(d.Digest) {
			continue
		}
		m, err := r.smallManifest(ctx, d)
		if err != nil {
			return nil, err
		}
		if m == nil || m.Subject != nil && m.Subject.Digest != digest {
			continue
		}
		found = append(found, related{where: "referrer", artifact: d.ArtifactType, desc: d, about: digest.String(), manifest: m})
	}
	return found, nil
}

func (r *registry) referrersIndex(ctx context.Context, digest v1.Hash) ([]byte, error) {
	resp, err := r.get(ctx, "referrers", digest.String(), http.Header{"Accept": {string(types.OCIImageIndex)}}, http.StatusOK)
	if err == nil {
		raw, kind, err := readDocument(resp, "referrers of "+digest.String())
		if err == nil && kind == types.OCIImageIndex {
			return raw, nil
		}
		if err != nil {
			return nil, err
		}
	} else if !unknownCall(err) {
		return nil, err
	}
	raw, _, err := r.document(ctx, digest.Algorithm+"-"+digest.Hex)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return raw, err
}

// smallManifest reads a manifest by its digest; nil when it is none or gone.
func (r *registry) smallManifest(ctx context.Context, d v1.Descriptor) (*v1.Manifest, error) {
	raw, err := r.manifest(ctx, d)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if hash, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || hash != d.Digest {
		return nil, errors.Join(corrupt("manifest %s has digest %s", d.Digest, hash), err)
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, nil //nolint:nilerr // of some other kind
	}
	return m, nil
}

// attested finds buildkit's statements in the index that an image came in.
func (r *registry) attested(ctx context.Context, index v1.Hash) ([]related, error) {
	raw, err := r.manifest(ctx, v1.Descriptor{Digest: index})
	if err != nil {
		return nil, err
	}
	list, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, corrupt("index %s: %w", index, err)
	}
	var found []related
	for _, d := range list.Manifests {
		if d.Annotations[dockerReferenceType] != "attestation-manifest" || !isSHA256(d.Digest) || len(found) == maxReferrers {
			continue
		}
		m, err := r.smallManifest(ctx, d)
		if err != nil {
			return nil, err
		}
		if m != nil {
			found = append(found, related{where: "index", desc: d, about: d.Annotations[dockerReferenceDigest], manifest: m})
		}
	}
	return found, nil
}

// attachments are what one manifest holds: one for each layer.
func (r related) attachments() []Attachment {
	var list []Attachment
	for _, layer := range r.manifest.Layers[:min(len(r.manifest.Layers), maxAttachment)] {
		a := Attachment{Digest: r.desc.Digest.String(), Size: layer.Size, Of: r.about, Where: r.where, MediaType: string(layer.MediaType)}
		a.Type = firstOf(layer.Annotations[predicateOfLayer], layer.Annotations[cosignPredicate],
			r.desc.Annotations["dev.sigstore.bundle.predicateType"], r.manifest.Annotations["dev.sigstore.bundle.predicateType"], mediaName(r.artifact), string(layer.MediaType))
		a.Kind = kindOf(a.Type, string(layer.MediaType), r.artifact)
		list = append(list, a)
	}
	return list
}

// mediaName is an artifact type that says something.
func mediaName(artifact string) string {
	if strings.Contains(artifact, "/") {
		return artifact
	}
	return ""
}

func firstOf(words ...string) string {
	i := slices.IndexFunc(words, func(w string) bool { return w != "" })
	if i < 0 {
		return ""
	}
	return words[i]
}

// kindOf sorts an attachment by the words that name it.
func kindOf(words ...string) string {
	all := strings.ToLower(strings.Join(words, " "))
	for _, k := range []struct {
		kind  string
		words []string
	}{
		{"sbom", []string{"spdx", "cyclonedx", "sbom", "syft"}},
		{"provenance", []string{"provenance"}},
		{"signature", []string{cosign.SimpleSigning, cosign.ArtifactType, "cosign/sign", "notary"}},
		{"attestation", []string{"in-toto", "dsse", ".att", "sigstore"}},
	} {
		if slices.ContainsFunc(k.words, func(w string) bool { return strings.Contains(all, w) }) {
			return k.kind
		}
	}
	return "other"
}

// Attachments asks the registry that an image came from what it has beside it.
func (s *Store) Attachments(ctx context.Context, ref string, set Registries) (list []Attachment, err error) {
	s.mu.Lock()
	all, err := s.records()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	rec, err := find(all, ref)
	if err != nil {
		return nil, err
	}
	src, err := ParseSource(rec.Ref)
	if err != nil || src.Kind != Registry {
		return nil, err
	}
	r, err := openRegistry(ctx, src.Ref, set)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var found []related
	for _, digest := range digestsOf(rec) {
		more, err := r.relatedTo(ctx, digest)
		if err != nil {
			return nil, fmt.Errorf("attachments of %s: %w", rec.Ref, err)
		}
		found = append(found, more...)
	}
	if index, err := v1.NewHash(rec.Index); err == nil {
		more, err := r.attested(ctx, index)
		if err != nil {
			return nil, fmt.Errorf("attachments of %s: %w", rec.Ref, err)
		}
		found = append(found, more...)
	}
	for _, one := range found {
		if one.where != "index" || one.about == rec.Digest {
			list = append(list, one.attachments()...)
		}
	}
	return list, nil
}

// digestsOf are those that people sign of an image: of its manifest, and of the
// index that lists it.
func digestsOf(rec record) []v1.Hash {
	var all []v1.Hash
	for _, text := range []string{rec.Digest, rec.Index} {
		if h, err := v1.NewHash(text); err == nil {
			all = append(all, h)
		}
	}
	return all
}
