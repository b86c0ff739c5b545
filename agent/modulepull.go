package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/oci"
)

// pulledModule is what the store knows about a module, by the reference it was
// pulled as, or the path of its file.
type pulledModule struct {
	Ref string  `json:"ref"`
	App app.App `json:"app"`
}

func (m *moduleStore) pulledPath(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return filepath.Join(m.refs(), hex.EncodeToString(sum[:])+".json")
}

// pulled is the module that ref named when it was pulled; nil if none is here.
func (m *moduleStore) pulled(ref string) (*app.App, error) {
	raw, err := os.ReadFile(m.pulledPath(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("module store: %w", err)
	}
	var kept pulledModule
	if json.Unmarshal(raw, &kept) != nil || kept.Ref != ref {
		return nil, nil // damaged: it is pulled again
	}
	if _, err := os.Stat(m.path(kept.App.Digest)); err != nil {
		return nil, nil //nolint:nilerr // its module is not here
	}
	return &kept.App, nil
}

func (m *moduleStore) setPulled(ref string, module app.App) error {
	raw, err := json.Marshal(pulledModule{Ref: ref, App: module})
	if err != nil {
		return err
	}
	if err := atomicfile.Write(m.pulledPath(ref), raw, 0o600); err != nil {
		return fmt.Errorf("module store: %w", err)
	}
	return nil
}

// storedModule is the module of a registry that is here already, unless the
// request wants the registry to be asked.
func (a *Agent) storedModule(req api.PullRequest) (*app.App, error) {
	src, err := oci.ParseSource(req.Source)
	if err != nil || src.Kind != oci.Registry || req.Pull == oci.PullAlways {
		return nil, nil //nolint:nilerr // package oci says what is wrong with it
	}
	key, err := a.keyFor(src, req.Verify)
	if err != nil {
		return nil, err
	}
	module, err := a.modules.pulled(src.String())
	if module != nil && key != nil && module.Publisher != oci.PublisherOf(key) {
		return nil, nil // it was pulled when nobody asked for the key
	}
	return module, err
}

// pullModule fetches the module that a reference or an OCI layout has in place
// of an image. Its digest is its identity, whatever the reference names later.
func (a *Agent) pullModule(ctx context.Context, req api.PullRequest, progress func(api.Progress)) (app.App, error) {
	src, err := oci.ParseSource(req.Source)
	if err != nil {
		return app.App{}, err
	}
	options, err := a.pullOptions(src, req, progress)
	if err != nil {
		return app.App{}, err
	}
	var from *oci.Module
	module, err := a.modules.keep(req.Source, func(to io.Writer) (string, error) {
		from, err = a.images.Module(ctx, src, maxModule, to, options)
		if err != nil {
			return "", err
		}
		return from.Digest, nil
	})
	if err != nil {
		return app.App{}, err
	}
	module.Name, module.Publisher = appName(from.Name), from.Publisher
	if module.Manifest == nil {
		module.Manifest = from.Manifest
	}
	if src.Kind != oci.Registry {
		return module, nil
	}
	if options.Verify != nil {
		if err := a.keepKey(src.Repository(), options.Verify); err != nil {
			return module, err
		}
	}
	return module, a.modules.setPulled(src.String(), module)
}
