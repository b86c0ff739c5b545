package oci

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/oci/cosign"
)

// ErrUnsigned: the image has no signature by the key that is asked for.
var ErrUnsigned = errors.New("the image is not signed by the key")

// verify finds a signature by key of the image in the registry. One of its
// index counts: the index names the image by digest.
func (r *resolved) verify(ctx context.Context, o origin, src Source, key *cosign.Key) error {
	reg := behind(o)
	if reg == nil {
		return fmt.Errorf("signatures are looked for in registries, not in files: %w", ErrUnsigned)
	}
	claim := cosign.Claim{Repository: src.Repository()}
	digests := []v1.Hash{r.digest}
	if r.index.Hex != "" {
		digests = append(digests, r.index)
	}
	for _, d := range digests {
		claim.Digests = append(claim.Digests, d.String())
	}
	var refused []error
	for _, digest := range digests {
		found, err := reg.relatedTo(ctx, digest)
		if err != nil {
			return fmt.Errorf("look for signatures: %w", err)
		}
		for _, one := range found {
			err := one.signedBy(ctx, reg, key, claim)
			if err == nil {
				return nil
			}
			if !errors.Is(err, errNoSignature) {
				refused = append(refused, err)
			}
		}
	}
	if len(refused) == 0 {
		return fmt.Errorf("the registry has no signature of it: %w", ErrUnsigned)
	}
	return fmt.Errorf("%w: %w", refused[0], ErrUnsigned)
}

var errNoSignature = errors.New("no signature in it")

// signedBy tells whether one of the manifest's layers is a signature by key.
func (r related) signedBy(ctx context.Context, reg *registry, key *cosign.Key, claim cosign.Claim) error {
	err := errNoSignature
	for _, layer := range r.manifest.Layers[:min(len(r.manifest.Layers), maxAttachment)] {
		if !slices.Contains([]types.MediaType{cosign.SimpleSigning, cosign.BundleType}, layer.MediaType) || !isSHA256(layer.Digest) {
			continue
		}
		text, readErr := readBlob(ctx, reg, layer, cosign.MaxPayload)
		if readErr != nil {
			return fmt.Errorf("signature %s: %w", layer.Digest, readErr)
		}
		if layer.MediaType == cosign.SimpleSigning {
			err = key.Simple(text, layer.Annotations[cosign.SignatureOf], claim)
		} else {
			err = key.Bundle(text, claim)
		}
		if err == nil {
			return nil
		}
	}
	return err
}
