package oci

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Registries are the user's settings about registries, by their names as people
// write them ("docker.io", "registry.example.com:5000").
type Registries map[string]RegistrySettings

// RegistrySettings are those of one registry.
type RegistrySettings struct {
	// Mirrors are asked first, in this order: HOST[:PORT][/PREFIX]. The user
	// lets them speak for the registry, in tags too.
	Mirrors []string `json:"mirrors,omitempty"`
	// CA is a file of certificates (PEM) that the registry's may be signed by,
	// besides the system's.
	CA string `json:"ca,omitempty"`
}

const (
	maxRegistries = 1 << 20 // bytes of the settings
	maxCA         = 1 << 20 // bytes of a file of certificates
)

// LoadRegistries reads the settings; without the file there are none.
func LoadRegistries(path string) (Registries, error) {
	raw, err := readBounded(path, maxRegistries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settings of registries: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var all Registries
	if err := dec.Decode(&all); err != nil {
		return nil, fmt.Errorf("settings of registries, %s: %w", path, err)
	}
	return all, nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return raw, err
}

// certDirs is where docker and podman look for a registry's certificates.
var certDirs = []string{"/etc/docker/certs.d", "/etc/containers/certs.d"}

// trust adds the certificates that are set for a registry to those of the system.
func (r Registries) trust(base *http.Transport, host string, dirs []string) error {
	var files []string
	if ca := r[host].CA; ca != "" {
		files = append(files, ca)
	}
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, host, "*.crt"))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, file := range files {
		raw, err := readBounded(file, maxCA)
		if err != nil {
			return fmt.Errorf("certificates for %s: %w", host, err)
		}
		if !pool.AppendCertsFromPEM(raw) {
			return fmt.Errorf("certificates for %s: none in %s", host, file)
		}
	}
	base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return nil
}

// hostOf is a registry as people write it.
func hostOf(ref name.Reference) string {
	return strings.TrimSuffix(people(ref.Context().RegistryStr()+"/"), "/")
}

// open is the registry of a reference, or its mirrors before it.
func (r Registries) open(ctx context.Context, ref name.Reference) (origin, error) {
	mirrors := r[hostOf(ref)].Mirrors
	if len(mirrors) == 0 {
		return openRegistry(ctx, ref, r)
	}
	m := &mirrored{ref: ref, registries: r}
	for _, mirror := range mirrors {
		there, err := mirrorOf(ref, mirror)
		if err != nil {
			return nil, err
		}
		m.candidates = append(m.candidates, there)
	}
	m.candidates = append(m.candidates, ref)
	return m, nil
}

// mirrorOf is what a reference is called at a mirror.
func mirrorOf(ref name.Reference, mirror string) (name.Reference, error) {
	at := ":"
	if _, pinned := ref.(name.Digest); pinned {
		at = "@"
	}
	text := strings.TrimSuffix(mirror, "/") + "/" + ref.Context().RepositoryStr() + at + ref.Identifier()
	src, err := ParseSource(text)
	if err != nil || src.Kind != Registry {
		return nil, fmt.Errorf("mirror %q of %s: want HOST[:PORT][/PREFIX]: %w", mirror, hostOf(ref), err)
	}
	return src.Ref, nil
}

// mirrored is a registry behind its mirrors: the first that has the image
// serves it.
type mirrored struct {
	ref        name.Reference
	registries Registries
	candidates []name.Reference // the registry itself last
	*registry                   // that serves, nil before top
}

func (m *mirrored) top(ctx context.Context) (doc document, err error) {
	var failed []error
	for _, ref := range m.candidates {
		reg, err := openRegistry(ctx, ref, m.registries)
		if err == nil {
			if doc, err = reg.top(ctx); err == nil {
				m.registry = reg
				return doc, nil
			}
			err = errors.Join(err, reg.Close())
		}
		if ctx.Err() != nil {
			return document{}, err
		}
		failed = append(failed, err)
	}
	return document{}, errors.Join(failed...)
}

// publisher is the registry that the user has the mirror speak for.
func (m *mirrored) publisher() string {
	if m.registry == nil || m.registry.publisher() == "" {
		return ""
	}
	return people(m.ref.Context().Name())
}

func (m *mirrored) Close() error {
	if m.registry == nil {
		return nil
	}
	return m.registry.Close()
}

// behind is the registry that an origin asks, nil when it is none.
func behind(o origin) *registry {
	switch o := o.(type) {
	case *registry:
		return o
	case *mirrored:
		return o.registry
	}
	return nil
}
