package userdata

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// Secret is one that apps may use after a yes. Its value is in the vault alone.
type Secret struct {
	Name string `json:"name"`
	// Origins are where it is put into requests ("https://api.example.com"),
	// without the app seeing it. With none the app is given the value.
	Origins []string `json:"origins,omitempty"`
}

const (
	maxSecrets = 200
	maxSecret  = 2048 // bytes of a value: a keychain has it in hex
	maxOrigins = 20
)

// Secrets are those that the user keeps for apps.
type Secrets struct {
	path  string
	vault Vault

	mu   sync.Mutex
	list map[string]Secret
}

func openSecrets(dir string, vault Vault) (*Secrets, error) {
	s := &Secrets{path: filepath.Join(dir, "secrets.json"), vault: vault, list: map[string]Secret{}}
	raw, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err == nil:
		err = json.Unmarshal(raw, &s.list)
	}
	if err != nil {
		return nil, fmt.Errorf("secrets %s: %w", s.path, err)
	}
	return s, nil
}

// List returns the secrets without their values, by name.
func (s *Secrets) List() []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Secret
	for _, name := range slices.Sorted(maps.Keys(s.list)) {
		list = append(list, s.list[name])
	}
	return list
}

// Places are the origins that a secret is kept for; known is false where there
// is no such secret.
func (s *Secrets) Places(name string) (origins []string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, known := s.list[name]
	return slices.Clone(secret.Origins), known
}

func vaultName(secret string) string { return "secret-" + secret }

func (s Secret) check() error {
	if _, err := consent.Canonical(consent.SecretUse, s.Name); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if len(s.Origins) > maxOrigins {
		return fmt.Errorf("%w: more than %d origins", sandbox.ErrInvalid, maxOrigins)
	}
	for _, origin := range s.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" || u.Host == "" || origin != "https://"+u.Host {
			return fmt.Errorf("%w: %.80q is no origin: use https://HOST, with the port if it is another than 443", sandbox.ErrInvalid, origin)
		}
	}
	return nil
}

// Set keeps a secret, or replaces it.
func (s *Secrets) Set(secret Secret, value string) error {
	if err := secret.check(); err != nil {
		return err
	}
	if value == "" || len(value) > maxSecret {
		return fmt.Errorf("%w: a secret has 1 to %d bytes", sandbox.ErrInvalid, maxSecret)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.list)
	if next[secret.Name] = secret; len(next) > maxSecrets {
		return fmt.Errorf("%w: more than %d secrets", sandbox.ErrInvalid, maxSecrets)
	}
	if err := s.vault.Set(vaultName(secret.Name), []byte(value)); err != nil {
		return fmt.Errorf("keep the secret: %w", err)
	}
	return s.save(next)
}

// Remove forgets a secret and its value.
func (s *Secrets) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, has := s.list[name]; !has {
		return fmt.Errorf("%w: there is no secret %.40q", sandbox.ErrNothing, name)
	}
	if err := s.vault.Set(vaultName(name), nil); err != nil {
		return fmt.Errorf("remove the secret: %w", err)
	}
	next := maps.Clone(s.list)
	delete(next, name)
	return s.save(next)
}

// save: mu is held.
func (s *Secrets) save(next map[string]Secret) error {
	raw, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(s.path, raw, 0o600); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	s.list = next
	return nil
}

// use is the answer to an app that may use a secret: its value, or nothing but
// where it can be used. One that is not there is a no.
func (s *Secrets) use(name string) (sandbox.DataReply, error) {
	s.mu.Lock()
	secret, has := s.list[name]
	s.mu.Unlock()
	if !has {
		return sandbox.DataReply{}, sandbox.ErrDenied
	}
	if len(secret.Origins) > 0 {
		return sandbox.DataReply{Values: map[string]any{"handle": ""}}, nil // the agent puts one there
	}
	value, err := s.value(name)
	return sandbox.DataReply{Values: map[string]any{"value": value}}, err
}

func (s *Secrets) value(name string) (string, error) {
	value, err := s.vault.Get(vaultName(name))
	if err != nil {
		return "", sandbox.ErrUnavailable
	}
	if len(value) == 0 {
		return "", sandbox.ErrDenied
	}
	return string(value), nil
}

// For returns the value for a request to origin, if the user keeps it for there.
func (s *Secrets) For(name, origin string) (string, error) {
	s.mu.Lock()
	secret, has := s.list[name]
	s.mu.Unlock()
	if !has || !slices.Contains(secret.Origins, origin) {
		return "", sandbox.ErrDenied
	}
	return s.value(name)
}
