package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/oci/cosign"
)

// signers are the keys that must sign images, by repository. Unlike with
// waivers, what cannot be read stops the agent: a key that is forgotten would
// let an unsigned image in.
type signers struct {
	path string

	mu     sync.Mutex
	byRepo map[string]string // repository → key as PEM
}

const signersFile = "signers.json"

func openSigners(dir string) (*signers, error) {
	s := &signers{path: filepath.Join(dir, signersFile), byRepo: map[string]string{}}
	raw, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &s.byRepo)
	}
	if err != nil {
		return nil, fmt.Errorf("keys that must sign images (%s): %w", s.path, err)
	}
	if s.byRepo == nil {
		s.byRepo = map[string]string{}
	}
	return s, nil
}

// of is the key that must sign images of a repository; nil for none.
func (s *signers) of(repository string) (*cosign.Key, error) {
	s.mu.Lock()
	text, is := s.byRepo[repository]
	s.mu.Unlock()
	if !is {
		return nil, nil
	}
	key, err := cosign.ParseKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the key that must sign %s: %w", repository, err)
	}
	return key, nil
}

// set keeps the key for a repository; nil takes it out.
func (s *signers) set(repository string, key *cosign.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.byRepo)
	if key == nil {
		delete(next, repository)
	} else {
		next[repository] = key.PEM()
	}
	raw, err := json.Marshal(next)
	if err == nil {
		err = atomicfile.Write(s.path, raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keys that must sign images: %w", err)
	}
	s.byRepo = next
	return nil
}

func (s *signers) list() []api.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []api.Signer{}
	for _, repo := range slices.Sorted(maps.Keys(s.byRepo)) {
		one := api.Signer{Repository: repo, Key: s.byRepo[repo]}
		if key, err := cosign.ParseKey([]byte(one.Key)); err == nil {
			one.ID = key.ID()
		}
		list = append(list, one)
	}
	return list
}

// keyFor is the key that must have signed what source names: the one that the
// user gives now, else the one that was given for this repository before.
func (a *Agent) keyFor(source oci.Source, given string) (*cosign.Key, error) {
	if given == "" {
		if source.Kind != oci.Registry {
			return nil, nil
		}
		return a.signers.of(source.Repository())
	}
	key, err := cosign.ParseKey([]byte(given))
	if err != nil {
		return nil, invalid("the key to verify with: %v", err)
	}
	return key, nil
}

// keepKey remembers a key that has signed an image of a repository: from now
// on every image of it must be signed by this key.
func (a *Agent) keepKey(repository string, key *cosign.Key) error {
	before, err := a.signers.of(repository)
	if err != nil || before != nil && before.ID() == key.ID() {
		return err
	}
	if err := a.signers.set(repository, key); err != nil {
		return err
	}
	return a.engine.Note(consent.Event{Event: "signer", Target: repository, Detail: key.ID(), By: "cli"})
}

func (a *Agent) listSigners(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, a.signers.list())
}

// removeSigner asks for no signature of a repository any more. What was given
// to the app while the key vouched for it stays bound to the key.
func (a *Agent) removeSigner(w http.ResponseWriter, r *http.Request) error {
	repo := r.URL.Query().Get("repository")
	key, err := a.signers.of(repo)
	if err == nil && key == nil {
		return &api.Error{Code: "not-found", Message: "no key must sign " + repo, Status: statusNotFound, Hint: "see them with: consentry signers"}
	}
	if err := a.signers.set(repo, nil); err != nil {
		return err
	}
	a.note(consent.Event{Event: "signer-rm", Target: repo, By: "cli"})
	w.WriteHeader(http.StatusNoContent)
	return nil
}
