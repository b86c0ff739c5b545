package userdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// Account is where contacts or events come from: files of the user's, or a
// server (CardDAV, RFC 6352; CalDAV, RFC 4791).
type Account struct {
	Name string `json:"name"`
	Kind string `json:"kind"`           // data.Contacts or data.Calendar
	Path string `json:"path,omitempty"` // absolute: a file, or a folder of them
	URL  string `json:"url,omitempty"`
	User string `json:"user,omitempty"`
}

// Vault keeps what is secret. Its values are bounded.
type Vault interface {
	Get(name string) ([]byte, error) // nothing, and no error, for one that was never set
	Set(name string, value []byte) error
}

const (
	maxAccounts = 20
	// freshFor is how long records are used before they are read again.
	freshFor = 10 * time.Second
)

var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (a Account) check() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", sandbox.ErrInvalid, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(a.URL)
	switch {
	case !accountName.MatchString(a.Name):
		return invalid("account name %.40q: use up to 32 of a-z, 0-9 and '-'", a.Name)
	case a.Kind != data.Contacts && a.Kind != data.Calendar:
		return invalid("account kind %.40q: use %s or %s", a.Kind, data.Contacts, data.Calendar)
	case (a.Path == "") == (a.URL == ""):
		return invalid("an account is a path or a URL, one of them")
	case a.Path != "" && !filepath.IsAbs(a.Path):
		return invalid("path %.80q is not absolute", a.Path)
	case a.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname()))):
		return invalid("URL %.80q: use https://HOST/…, without user and password; http is for this computer only", a.URL)
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// Accounts are those that the user has set up. Passwords are in the vault.
type Accounts struct {
	path  string
	vault Vault
	log   *slog.Logger

	mu   sync.Mutex
	list []Account
	read map[string]*reading // by name
}

// reading is what was read of one account.
type reading struct {
	mu      sync.Mutex // one at a time
	records []data.Record
	query   Query
	at      time.Time
}

func openAccounts(dir string, vault Vault, log *slog.Logger) (*Accounts, error) {
	a := &Accounts{path: filepath.Join(dir, "accounts.json"), vault: vault, log: log, read: map[string]*reading{}}
	raw, err := os.ReadFile(a.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a, nil
	case err == nil:
		err = json.Unmarshal(raw, &a.list)
	}
	if err != nil {
		return nil, fmt.Errorf("accounts %s: %w", a.path, err)
	}
	return a, nil
}

// List returns the accounts by name.
func (a *Accounts) List() []Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

func passwordOf(name string) string { return "account-" + name }

// Add reads the account once, so that what cannot work is not saved. One of the
// same name is replaced.
func (a *Accounts) Add(ctx context.Context, account Account, password string) (records int, err error) {
	if err := account.check(); err != nil {
		return 0, err
	}
	now := time.Now()
	found, err := account.records(ctx, Query{From: now, To: now.AddDate(0, 1, 0)}, password)
	if err != nil {
		return 0, fmt.Errorf("account %s: %w", account.Name, err)
	}
	if password != "" {
		if err := a.vault.Set(passwordOf(account.Name), []byte(password)); err != nil {
			return 0, fmt.Errorf("keep the password: %w", err)
		}
	}
	return len(found), a.change(func(list []Account) ([]Account, error) {
		list = slices.DeleteFunc(list, func(old Account) bool { return old.Name == account.Name })
		if len(list) >= maxAccounts {
			return nil, fmt.Errorf("%w: more than %d accounts", sandbox.ErrInvalid, maxAccounts)
		}
		return append(list, account), nil
	}, account.Name)
}

// Remove forgets an account and its password.
func (a *Accounts) Remove(name string) error {
	err := a.change(func(list []Account) ([]Account, error) {
		rest := slices.DeleteFunc(slices.Clone(list), func(old Account) bool { return old.Name == name })
		if len(rest) == len(list) {
			return nil, fmt.Errorf("%w: there is no account %.40q", sandbox.ErrNothing, name)
		}
		return rest, nil
	}, name)
	if err != nil {
		return err
	}
	return a.vault.Set(passwordOf(name), nil)
}

func (a *Accounts) change(how func([]Account) ([]Account, error), name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, err := how(slices.Clone(a.list))
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(a.path, raw, 0o600); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	a.list = next
	delete(a.read, name)
	return nil
}

// of is the source of one kind.
func (a *Accounts) of(kind string) Source { return accountsOf{a, kind} }

type accountsOf struct {
	*Accounts
	kind string
}

// Records puts together what all accounts of the kind have. One that fails is
// left out, unless there is no other.
func (a accountsOf) Records(ctx context.Context, q Query) ([]data.Record, error) {
	var all []data.Record
	var errs []error
	worked := false
	for _, account := range a.List() {
		if account.Kind != a.kind {
			continue
		}
		records, err := a.records(ctx, account, q)
		if err != nil {
			a.log.Error("an account cannot be read", "account", account.Name, "error", err)
			errs = append(errs, err)
			continue
		}
		worked = true
		all = append(all, records...)
	}
	if !worked {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func (a *Accounts) records(ctx context.Context, account Account, q Query) ([]data.Record, error) {
	a.mu.Lock()
	r := a.read[account.Name]
	if r == nil {
		r = &reading{}
		a.read[account.Name] = r
	}
	a.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) < freshFor && r.query.From.Equal(q.From) && r.query.To.Equal(q.To) {
		return r.records, nil
	}
	var password []byte
	if account.User != "" {
		var err error
		if password, err = a.vault.Get(passwordOf(account.Name)); err != nil {
			return nil, fmt.Errorf("password: %w", err)
		}
	}
	records, err := account.records(ctx, q, string(password))
	if err != nil {
		return nil, err
	}
	r.records, r.query, r.at = records, q, time.Now()
	return records, nil
}

// recovered makes an error of a panic: the parsers are others' (go-ical fell over
// "0;0="), and what they read others may have sent.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("it cannot be read: %v", r)
	}
}

// records reads the account now.
func (a Account) records(ctx context.Context, q Query, password string) (_ []data.Record, err error) {
	defer recovered(&err)
	read := readCards
	if a.Kind == data.Calendar {
		read = func(raw []byte) ([]data.Record, error) { return readEvents(raw, q) }
	}
	switch {
	case a.Path != "" && a.Kind == data.Calendar:
		return readFiles(a.Path, ".ics", read)
	case a.Path != "":
		return readFiles(a.Path, ".vcf", read)
	case a.Kind == data.Calendar:
		return fetchEvents(ctx, a, q, password)
	}
	return fetchCards(ctx, a, password)
}
