package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/oci/inflate"
	"github.com/consentry/consentry/oci/unpack"
)

// layer is one layer of a pull. It is got (in parallel with the others), then
// settled (in order).
type layer struct {
	pull  *pull
	index int
	key   string         // in the store, "" while it is not there
	made  *unpack.Result // unpacked in tmp, to be settled
}

func (l *layer) id() v1.Hash         { return l.pull.config.RootFS.DiffIDs[l.index] }
func (l *layer) names() layerNames   { return l.pull.names[l.index] }
func (l *layer) desc() v1.Descriptor { return l.pull.manifest.Layers[l.index] }

// dir is where the layer is made.
func (l *layer) dir() string { return filepath.Join(l.pull.work, strconv.Itoa(l.index)) }

// inStore finds the layer under one of its names.
func (l *layer) inStore() bool {
	names := l.names()
	for _, key := range []string{names.chained(), names.own} {
		if l.pull.store.hasLayer(key) {
			l.key = key
			return true
		}
	}
	return false
}

// get makes sure the layer is in the store, or unpacked and ready to be
// settled. A pull that waits for another one's work uses it.
func (l *layer) get(ctx context.Context) error {
	if l.index < l.pull.low {
		return l.getLow(ctx)
	}
	if l.inStore() {
		return nil
	}
	unlock, err := l.pull.store.layers.lock(ctx, l.id().String())
	if err != nil {
		return err
	}
	defer unlock()
	if l.inStore() {
		return nil
	}
	res, err := l.unpack(ctx)
	if err != nil {
		return fmt.Errorf("layer %s: %w", l.id(), err)
	}
	if res.Relative {
		l.made = res
		return nil
	}
	return l.publish(l.names().own, res)
}

// unpack downloads, checks and unpacks in one stream.
func (l *layer) unpack(ctx context.Context) (*unpack.Result, error) {
	if err := os.MkdirAll(filepath.Join(l.dir(), "fs"), 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := l.pull.origin.blob(ctx, l.desc())
	if err != nil {
		return nil, err
	}
	st := l.stream(body)
	res, err := unpack.Layer(ctx, filepath.Join(l.dir(), "fs"), st.tar, l.pull.store.limits)
	if err == nil {
		err = st.drain()
	}
	if err != nil {
		cancel() // so that a stage that waits for the network ends
	}
	if closeErr := st.close(); err == nil {
		err = closeErr
	}
	if err := errors.Join(l.blame(st.blob, st.diff, err), body.Close()); err != nil {
		return nil, err
	}
	st.finish()
	return res, nil
}

// blame finds what is wrong with a layer that ended with err (or well): bytes
// that are not the manifest's explain every other error.
func (l *layer) blame(blob, diff *summed, err error) error {
	want := l.desc()
	switch got := blob.n.Load(); {
	case got == want.Size && blob.digest() != want.Digest.String():
		return corrupt("blob %s has digest %s", want.Digest, blob.digest())
	case err != nil && errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt("ends early, after %d of %d bytes: %w", got, want.Size, err)
	case errors.Is(err, inflate.ErrCorrupt):
		return corrupt("%w", err)
	case err != nil:
		return err
	case got != want.Size:
		return corrupt("blob %s is %d bytes, the manifest says %d", want.Digest, got, want.Size)
	case diff.digest() != l.id().String():
		return corrupt("unpacks to %s, the config says %s", diff.digest(), l.id())
	}
	return nil
}

// settle fits a layer to those below and puts it into the store.
func (l *layer) settle(ctx context.Context) error {
	if l.key != "" {
		return nil
	}
	below, err := l.pull.store.stack(l.pull.keys(l.index))
	if err != nil {
		return err
	}
	if err := unpack.Settle(ctx, filepath.Join(l.dir(), "fs"), below, l.made, l.pull.store.limits); err != nil {
		return err
	}
	return l.publish(l.names().chained(), l.made)
}

// keys are the store's names of the first n layers, which are merged or settled.
func (p *pull) keys(n int) []string {
	var names []string
	if p.low > 0 {
		names = append(names, p.baseKey())
	}
	for _, l := range p.todo[p.low:n] {
		names = append(names, l.key)
	}
	return names
}

// publish moves the finished layer to its place.
func (l *layer) publish(key string, res *unpack.Result) error {
	s := l.pull.store
	info := layerInfo{DiffID: l.id().String(), Boot: s.boot, Blob: l.desc().Digest.String(), Result: *res}
	if err := s.publish(l.dir(), key, info); err != nil {
		return err
	}
	l.key = key
	return nil
}

// publish moves dir, a layer in tmp, to its place, all at once.
func (s *Store) publish(dir, key string, info layerInfo) error {
	raw, err := json.Marshal(info)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "layer.json"), raw, 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hasLayer(key) { // another image's pull may have been first
		if err := os.Rename(dir, filepath.Join(s.dir, layersDir, key)); err != nil {
			return err
		}
	}
	res := info.Result
	s.log.Debug("layer unpacked", "layer", key, "bytes", res.Bytes, "entries", res.Entries, "merged", info.Merged,
		"devices", res.Devices, "capabilities", res.Caps, "xattrs", res.Xattrs)
	return nil
}

// layerNames are the names under which a layer may lie in the store.
type layerNames struct {
	own   string // its diffID, as hex
	chain string // of it and those below (chain ID of the image spec, config.md), as hex
}

func (n layerNames) chained() string { return chainMark + n.chain }

// namesOf names a stack of layers, lowest first.
func namesOf(diffIDs []v1.Hash) []layerNames {
	names := make([]layerNames, 0, len(diffIDs))
	chain := ""
	for i, id := range diffIDs {
		next := id.Hex
		if i > 0 {
			sum := sha256.Sum256([]byte("sha256:" + chain + " " + id.String()))
			next = hex.EncodeToString(sum[:])
		}
		chain = next
		names = append(names, layerNames{own: id.Hex, chain: chain})
	}
	return names
}
