package userdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// maxProfile bounds one value of the profile, in bytes.
const maxProfile = 4096

// Profile is what the user says about themself, by the fields of
// data.Identity. Several e-mail addresses are separated by commas: the first
// one is given unless the user chooses another.
type Profile struct {
	path   string
	system func() map[string]string // what the system knows where the user said nothing

	mu     sync.Mutex
	values map[string]string
	known  map[string]string // of the system
	looked time.Time         // when
}

// systemFresh is how long what the system said is believed: it costs ten calls
// of the kernel.
const systemFresh = 10 * time.Second

func openProfile(dir string) (*Profile, error) {
	p := &Profile{path: filepath.Join(dir, "profile.json"), system: systemLocale, values: map[string]string{}}
	raw, err := os.ReadFile(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := json.Unmarshal(raw, &p.values); err != nil {
		return nil, fmt.Errorf("profile %s is damaged: %w", p.path, err)
	}
	return p, nil
}

// Values returns what the user has filled in.
func (p *Profile) Values() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.values)
}

// Emails are the user's addresses, the first one first.
func (p *Profile) Emails() []string { return emails(p.Values()["email"]) }

func emails(list string) []string {
	var all []string
	for address := range strings.SplitSeq(list, ",") {
		if address = strings.TrimSpace(address); address != "" {
			all = append(all, address)
		}
	}
	return all
}

// Set changes the given fields; an empty value takes a field out. Either
// all of them are saved or none.
func (p *Profile) Set(change map[string]string) error {
	identity, _ := data.KindOf(data.Identity)
	for field, value := range change {
		if _, has := identity.Field(field); !has {
			return fmt.Errorf("%w: the profile has no field %.40q; it has %s", sandbox.ErrInvalid, field, identity.FieldNames())
		}
		if len(value) > maxProfile {
			return fmt.Errorf("%w: %s is %d bytes, more than %d", sandbox.ErrInvalid, field, len(value), maxProfile)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(p.values)
	maps.Copy(next, change)
	maps.DeleteFunc(next, func(_, value string) bool { return value == "" })
	raw, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := atomicfile.Write(p.path, raw, 0o600); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	p.values = next
	return nil
}

// Records is the one of the user.
func (p *Profile) Records(context.Context, Query) ([]data.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.known == nil || now.Sub(p.looked) > systemFresh {
		p.known, p.looked = p.system(), now
	}
	fields := map[string]any{}
	for _, values := range []map[string]string{p.known, p.values} {
		for field, value := range values {
			fields[field] = value
		}
	}
	if all := emails(p.values["email"]); len(all) > 0 {
		fields["email"] = all[0]
	}
	return []data.Record{{Fields: fields}}, nil
}

// localeOf reads POSIX's name of a locale as BCP 47: "de_AT.UTF-8@euro" is "de-AT".
func localeOf(posix string) string {
	if at := strings.IndexAny(posix, ".@"); at >= 0 {
		posix = posix[:at]
	}
	if posix == "C" || posix == "POSIX" {
		return ""
	}
	return strings.ReplaceAll(posix, "_", "-")
}
