package userdata

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// Source has the records of one kind.
type Source interface {
	Records(context.Context, Query) ([]data.Record, error)
}

// Query says which records can be of use; a source may give more.
type Query struct {
	From, To time.Time
	Only     []string // paths of files
}

// readTime is how long a source may take; an account is in the network.
const readTime = 20 * time.Second

// Config of a Service.
type Config struct {
	Dir     string       // of the settings; exists
	Log     *slog.Logger // nil: none
	Vault   Vault        // for passwords and secrets
	Desktop Desktop      // nil: that of this session
}

// Service answers for the user.
type Service struct {
	Profile  *Profile
	Accounts *Accounts
	Secrets  *Secrets
	desktop  Desktop
	log      *slog.Logger
	key      []byte // of made-up values
	sources  map[string]Source
}

// Open reads the settings in cfg.Dir; missing ones are empty.
func Open(cfg Config) (*Service, error) {
	profile, err := openProfile(cfg.Dir)
	if err != nil {
		return nil, err
	}
	key, err := inventorKey(filepath.Join(cfg.Dir, "made-up.key"))
	if err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Desktop == nil {
		cfg.Desktop = system{}
	}
	accounts, err := openAccounts(cfg.Dir, cfg.Vault, cfg.Log)
	if err != nil {
		return nil, err
	}
	secrets, err := openSecrets(cfg.Dir, cfg.Vault)
	if err != nil {
		return nil, err
	}
	return &Service{
		Profile: profile, Accounts: accounts, Secrets: secrets, desktop: cfg.Desktop, log: cfg.Log, key: key,
		sources: map[string]Source{
			data.Identity: profile, data.Contacts: accounts.of(data.Contacts), data.Calendar: accounts.of(data.Calendar),
			data.Files: picked{}, data.Clipboard: clipboard{clipboardCommands()},
		},
	}, nil
}

const keyBytes = 32

// inventorKey is made once: with another one an app would be told other names.
func inventorKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key = make([]byte, keyBytes)
		_, _ = rand.Read(key) // never fails
		err = atomicfile.Write(path, key, 0o600)
	case err == nil && len(key) != keyBytes:
		err = fmt.Errorf("%s is damaged: remove it, and made-up values change", path)
	}
	if err != nil {
		return nil, fmt.Errorf("key of made-up values: %w", err)
	}
	return key, nil
}

// Answer gives what is granted of a request. What goes wrong is written down
// and not told: an app learns that it cannot have it.
func (s *Service) Answer(ctx context.Context, who app.ID, req sandbox.DataRequest, granted data.Granted) (sandbox.DataReply, error) {
	var records []data.Record
	if !granted.Hidden(req) {
		source := s.sources[req.Kind]
		if source == nil {
			return sandbox.DataReply{}, sandbox.ErrDenied // as if there were nothing
		}
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		var err error
		if records, err = source.Records(ctx, query(req, granted)); err != nil {
			s.log.Error("data for an app", "kind", req.Kind, "app", who, "error", err)
			return sandbox.DataReply{}, sandbox.ErrUnavailable
		}
	}
	return data.Answer(req, granted, records, data.Inventor{Key: s.key, App: string(who)})
}

func query(req sandbox.DataRequest, granted data.Granted) Query {
	q := Query{From: req.From, To: req.To}
	for _, shape := range granted {
		q.Only = append(q.Only, shape.Only...)
	}
	slices.Sort(q.Only)
	q.Only = slices.Compact(q.Only)
	return q
}
