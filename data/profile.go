package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// maxValue bounds one value of the profile, in bytes.
const maxValue = 4096

// Service reads the user's data from its providers.
type Service struct {
	path string // of the profile

	mu      sync.Mutex
	profile map[string]string
}

// OpenService reads the profile in dir; a missing one is empty.
func OpenService(dir string) (*Service, error) {
	s := &Service{path: filepath.Join(dir, "profile.json"), profile: map[string]string{}}
	raw, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := json.Unmarshal(raw, &s.profile); err != nil {
		return nil, fmt.Errorf("profile %s is damaged: %w", s.path, err)
	}
	return s, nil
}

// Profile returns what the user has filled in.
func (s *Service) Profile() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.profile)
}

// SetProfile changes the given fields; an empty value takes a field out. Either
// all of them are saved or none.
func (s *Service) SetProfile(change map[string]string) error {
	fields := Kinds()[0].Fields
	for field, value := range change {
		if !slices.Contains(fields, field) {
			return fmt.Errorf("%w: the profile has no field %q; it has %s", sandbox.ErrInvalid, clip(field), strings.Join(fields, ", "))
		}
		if len(value) > maxValue {
			return fmt.Errorf("%w: %s is %d bytes, more than %d", sandbox.ErrInvalid, field, len(value), maxValue)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.profile)
	maps.Copy(next, change)
	maps.DeleteFunc(next, func(_, value string) bool { return value == "" })
	raw, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := atomicfile.Write(s.path, raw, 0o600); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	s.profile = next
	return nil
}

// Read returns the values of a request the user has granted. A field without a
// value is withheld, so that an empty one and a refused one look alike.
func (s *Service) Read(req sandbox.DataRequest) (sandbox.DataReply, error) {
	if err := Check(req); err != nil {
		return sandbox.DataReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := sandbox.DataReply{Values: map[string]any{}}
	for _, field := range Names(req.Fields) {
		if value, has := s.profile[field]; has {
			reply.Values[field] = value
		} else {
			reply.Withheld = append(reply.Withheld, field)
		}
	}
	if len(reply.Values) == 0 {
		return sandbox.DataReply{}, sandbox.ErrDenied
	}
	return reply, nil
}
