package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/consentry/consentry/oci/cosign"
)

// When to look beyond the store.
const (
	PullMissing = "missing" // the default: when the reference is not in the store
	PullAlways  = "always"
	PullNever   = "never"
)

// parallelLayers bounds the layers that are downloaded and unpacked at once.
const parallelLayers = 4

// PullOptions says what to pull and when. The zero value pulls what is missing
// for Linux on this machine's processor.
type PullOptions struct {
	Platform string // "linux/arm64"; "" is this machine's
	Policy   string // PullMissing, PullAlways or PullNever
	Progress func(Progress)
	// Verify is the key that must have signed the image; nil asks for none.
	Verify *cosign.Key
	// Registries are settings about registries; nil for none.
	Registries Registries
}

// Pull gets an image into the store. After an error nothing of it is left, but
// that layers which are whole wait for the next pull from that registry when
// this one was cut off.
func (s *Store) Pull(ctx context.Context, src Source, opt PullOptions) (*Image, error) {
	img, err := s.pull(ctx, src, opt)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", src, err)
	}
	return img, nil
}

func (s *Store) pull(ctx context.Context, src Source, opt PullOptions) (*Image, error) {
	want, err := platformOf(opt.Platform)
	if err != nil {
		return nil, err
	}
	switch opt.Policy {
	case "", PullMissing, PullNever:
		img, err := s.stored(src, want, opt)
		if img != nil || err != nil {
			return img, err
		}
	case PullAlways:
	default:
		return nil, fmt.Errorf("pull policy %q: want missing, always or never", opt.Policy)
	}
	resolving := &meter{report: opt.Progress, phase: "resolve", item: src.String()}
	resolving.add(0)
	o, err := s.open(ctx, src, opt.Registries)
	if err != nil {
		return nil, err
	}
	img, err := s.fetch(ctx, src, o, want, opt)
	return img, errors.Join(err, o.Close())
}

// stored returns what the store has for src, nil when it is to be pulled. A
// file or directory is always looked at: it may have changed.
func (s *Store) stored(src Source, want v1.Platform, opt PullOptions) (*Image, error) {
	never := opt.Policy == PullNever
	if (src.Kind == Layout || src.Kind == Archive) && !never {
		return nil, nil
	}
	img, err := s.Lookup(src.String())
	switch {
	case err == nil:
		have, err := v1.ParsePlatform(img.Platform)
		signed := opt.Verify == nil || img.Signer == opt.Verify.ID()
		if err == nil && fits(want, have) && signed {
			return img, nil
		}
		if never && !signed {
			return nil, fmt.Errorf("what the store has was not checked for that key, and pulling is off: %w", ErrUnsigned)
		}
		if never {
			return nil, fmt.Errorf("the store has it for %s, not for %s, and pulling is off: %w", img.Platform, want.String(), ErrNotFound)
		}
	case never:
		return nil, fmt.Errorf("%w (and pulling is off)", err)
	case !errors.Is(err, ErrNotFound):
		s.log.Warn("pulling an unusable image again", "image", src.String(), "err", err)
	}
	return nil, nil
}

func (s *Store) open(ctx context.Context, src Source, set Registries) (origin, error) {
	scratch := func() (*os.File, error) { return os.CreateTemp(filepath.Join(s.dir, tmpDir), "archive-*") }
	switch src.Kind {
	case Registry:
		return set.open(ctx, src.Ref)
	case Layout:
		dir, err := openLayoutDir(src.Path)
		if err != nil {
			return nil, err
		}
		return &layout{files: dir, tag: src.Tag}, nil
	case Archive:
		return openArchive(ctx, src, scratch)
	case Daemon:
		return openDaemon(ctx, src, daemonSockets(os.Getenv), scratch)
	}
	return nil, errors.New("no source")
}

// fetch brings the image's layers and description into the store.
func (s *Store) fetch(ctx context.Context, src Source, o origin, want v1.Platform, opt PullOptions) (*Image, error) {
	r, err := resolve(ctx, o, want)
	if err != nil {
		return nil, err
	}
	if _, err := rights(r.config.Config.Labels, r.manifest.Annotations); err != nil {
		return nil, err
	}
	if opt.Verify != nil {
		if err := r.verify(ctx, o, src, opt.Verify); err != nil {
			return nil, err
		}
	}
	if opt.Policy != PullAlways {
		if img := s.unchanged(src, o, r, opt.Verify); img != nil {
			return img, nil
		}
	}
	unlock, err := s.pulls.lock(ctx, r.digest.String())
	if err != nil {
		return nil, err
	}
	defer unlock()
	p := &pull{store: s, origin: o, resolved: r, report: opt.Progress, signer: opt.Verify}
	img, err := p.run(ctx, src)
	if err != nil {
		return nil, errors.Join(err, p.undo(cutOff(err)))
	}
	return img, nil
}

// unchanged is what the store has for src if that is what r describes, from the
// same publisher: there is nothing to write then. It is nil where anything differs
// or is missing.
func (s *Store) unchanged(src Source, o origin, r *resolved, signer *cosign.Key) *Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, err := s.readRecord(recordName(src.String()))
	if err != nil || have.Digest != r.digest.String() || have.Index != r.indexName() ||
		have.Publisher != o.publisher() || have.Signer != signerID(signer) {
		return nil
	}
	img, err := s.image(have)
	if err != nil {
		s.log.Warn("pulling an unusable image again", "image", have.Ref, "err", err)
		return nil
	}
	return img
}

// indexName is the digest of the index it was found in, "" without.
func (r *resolved) indexName() string {
	if r.index.Hex == "" {
		return ""
	}
	return r.index.String()
}

func signerID(key *cosign.Key) string {
	if key == nil {
		return ""
	}
	return key.ID()
}

// pull is one pull under way.
type pull struct {
	*resolved
	store  *Store
	origin origin
	report func(Progress)
	signer *cosign.Key // has signed it; may be nil
	names  []layerNames
	low    int      // layers from the lowest on that are merged into one
	work   string   // directory in tmp, "" before it is made
	todo   []*layer // lowest first
	pinned []string // keys
	noted  bool     // as unfinished
}

func (p *pull) run(ctx context.Context, src Source) (_ *Image, err error) {
	p.names = namesOf(p.config.RootFS.DiffIDs)
	p.low = lowest(len(p.names), p.store.width)
	p.pinned = p.wanted()
	p.store.pin(p.pinned)
	if err := p.begin(src); err != nil {
		return nil, err
	}
	if p.work, err = os.MkdirTemp(filepath.Join(p.store.dir, tmpDir), "pull-*"); err != nil {
		return nil, err
	}
	unlock, err := p.lockBase(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := p.get(ctx); err != nil {
		return nil, err
	}
	if err := p.merge(ctx); err != nil {
		return nil, err
	}
	for _, l := range p.todo[p.low:] {
		if err := l.settle(ctx); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.id(), err)
		}
	}
	return p.commit(src)
}

// wanted are the store's names for what the image is made of.
func (p *pull) wanted() (keys []string) {
	if p.low > 0 {
		keys = append(keys, p.baseKey())
	}
	for _, n := range p.names[p.low:] {
		keys = append(keys, n.own, n.chained())
	}
	return keys
}

// get has every layer in the store, or unpacked.
func (p *pull) get(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for i := range p.names {
		l := &layer{pull: p, index: i}
		p.todo = append(p.todo, l)
		group.Go(func() error { return l.get(groupCtx) })
	}
	err := group.Wait()
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return err
}

// commit makes the image visible, then lets go of what it relied on.
func (p *pull) commit(src Source) (*Image, error) {
	s := p.store
	rec := record{
		Ref: src.String(), Digest: p.digest.String(), Config: p.manifest.Config.Digest.String(),
		Publisher: p.origin.publisher(), Platform: p.platform(), Pulled: s.now().UTC(),
		Signer: signerID(p.signer), Index: p.indexName(),
	}
	rec.Layers = p.keys(len(p.todo))
	for _, key := range rec.Layers {
		rec.Size += s.sizeOf(layersDir + "/" + key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.Join(
		s.writeFile(blobsDir+"/"+p.digest.Hex, p.raw, true),
		s.writeFile(blobsDir+"/"+p.manifest.Config.Digest.Hex, p.rawConf, true),
	)
	if err != nil {
		return nil, err
	}
	if err := s.keepOld(rec, src.Repository()); err != nil {
		return nil, err
	}
	if err := s.writeJSON(recordName(rec.Ref), rec, true); err != nil {
		return nil, err
	}
	s.unpin(p.pinned)
	p.pinned = nil
	s.makeDurable(rec.Layers)
	if err := p.forget(); err != nil {
		s.log.Warn("the note of a pull stays", "image", rec.Ref, "err", err)
	}
	if err := s.root.RemoveAll(tmpDir + "/" + filepath.Base(p.work)); err != nil {
		s.log.Warn("temporary directory stays until the next start", "dir", p.work, "err", err)
	}
	return s.image(rec)
}

func (p *pull) platform() string {
	if have := p.config.Platform(); have != nil && have.OS != "" {
		return v1.Platform{OS: have.OS, Architecture: have.Architecture, Variant: have.Variant}.String()
	}
	want, err := platformOf("")
	if err != nil {
		return ""
	}
	return want.String()
}

// keepOld keeps what a reference named before under its digest: an app may
// still run it. Prune removes it when none does.
func (s *Store) keepOld(now record, repository string) error {
	old, err := s.readRecord(recordName(now.Ref))
	if err != nil || old.Digest == now.Digest {
		return nil //nolint:nilerr // nothing to keep
	}
	old.Ref = repository + "@" + old.Digest
	return s.writeJSON(recordName(old.Ref), old, true)
}

// undo removes what a pull that failed has made; with keep, but the layers that
// are whole: the next pull goes on from there.
func (p *pull) undo(keep bool) error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpin(p.pinned)
	var err error
	if p.work != "" {
		err = s.root.RemoveAll(tmpDir + "/" + filepath.Base(p.work))
	}
	if !keep {
		err = errors.Join(err, p.forget())
	}
	_, sweepErr := s.sweep()
	return errors.Join(err, sweepErr)
}
