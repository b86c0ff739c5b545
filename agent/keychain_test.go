package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/consent"
)

// fakeKeychain keeps values in memory. It shows what findKeys does with a
// keychain's moods, not that a real one works.
type fakeKeychain struct {
	mu     sync.Mutex
	values map[string]string
	err    error
	hang   chan struct{} // not nil: calls wait for it
	away   bool
	keeps  bool
}

func newFakeKeychain() *fakeKeychain {
	return &fakeKeychain{values: map[string]string{}, keeps: true}
}

func (f *fakeKeychain) Name() string    { return "a fake keychain" }
func (f *fakeKeychain) Reachable() bool { return !f.away }

// become changes its mood.
func (f *fakeKeychain) become(err error, hang chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hang = err, hang
}

func (f *fakeKeychain) begin() error {
	f.mu.Lock()
	hang, err := f.hang, f.err
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (f *fakeKeychain) Get(account string) (string, bool, error) {
	if err := f.begin(); err != nil {
		return "", false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	value, found := f.values[account]
	return value, found, nil
}

func (f *fakeKeychain) Set(account, secret string) error {
	if err := f.begin(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if secret == "" {
		delete(f.values, account)
	} else if f.keeps {
		f.values[account] = secret
	}
	return nil
}

// storeIn makes a store, or opens one, and returns what the engine says of it.
func storeIn(t *testing.T, system SystemKeychain, dir string) (keyPlace, error) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	place := findKeys(system, dir, log)
	if b, ok := place.Keychain.(*boundedKeychain); ok {
		b.wait = 300 * time.Millisecond
	}
	e, err := consent.Open(t.Context(), consent.Config{Dir: dir, Keychain: place.Keychain, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Health(); err != nil {
		return place, err
	}
	_, err = e.Allow(context.Background(), consent.Rule{
		App: "sha256:00", AppName: "demo", Kind: consent.NetConnect, Target: "tcp/example.com:443", Verdict: consent.Allow,
	})
	return place, err
}

func hasKeyFile(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, consent.KeyValue))
	return err == nil
}

func TestTheKeyIsInTheSystemsKeychain(t *testing.T) {
	chain, dir := newFakeKeychain(), t.TempDir()
	place, err := storeIn(t, chain, dir)
	if err != nil || place.name != chain.Name() || hasKeyFile(dir) || len(chain.values) != 2 {
		t.Fatalf("%s, %v, values %d", place.name, err, len(chain.values))
	}
	if _, err := storeIn(t, chain, dir); err != nil {
		t.Fatal(err)
	}
	t.Run("which does not answer now", func(t *testing.T) {
		chain.become(errors.New("locked"), nil)
		defer chain.become(nil, nil)
		if _, err := storeIn(t, chain, dir); !errors.Is(err, consent.ErrKeychain) || errors.Is(err, consent.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("which hangs", func(t *testing.T) {
		chain.become(nil, make(chan struct{}))
		begin := time.Now()
		_, err := storeIn(t, chain, dir)
		if !errors.Is(err, consent.ErrKeychain) || time.Since(begin) > 20*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		close(chain.hang)
	})
	t.Run("and a file put beside is not believed", func(t *testing.T) {
		other := t.TempDir()
		if _, err := storeIn(t, nil, other); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		chain := newFakeKeychain()
		_, err := storeIn(t, chain, copied)
		if !errors.Is(err, consent.ErrDamaged) { // its key is of another folder
			t.Errorf("without a key: %v", err)
		}
		for _, name := range []string{consent.KeyValue, consent.MarkValue, "consent.db"} {
			raw, err := os.ReadFile(filepath.Join(other, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := storeIn(t, newSame(chain, dir), dir); !errors.Is(err, consent.ErrDamaged) {
			t.Errorf("with another store and its key: %v", err)
		}
	})
}

// newSame is a keychain with a key of its own for the store in dir.
func newSame(f *fakeKeychain, dir string) *fakeKeychain {
	same := newFakeKeychain()
	b := &boundedKeychain{system: same, dir: dir, wait: time.Second, busy: make(chan struct{}, 1)}
	_ = b.Set(consent.KeyValue, make([]byte, 32))
	_ = b.Set(consent.MarkValue, []byte("2"))
	return same
}

func TestFilesWhereNoKeychainServes(t *testing.T) {
	for name, chain := range map[string]*fakeKeychain{
		"away":          {away: true},
		"error":         {err: errors.New("no such service")},
		"keeps nothing": {values: map[string]string{}},
		"hangs":         {hang: make(chan struct{})},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := storeIn(t, chain, dir); err != nil || !hasKeyFile(dir) {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, consent.KeyValue))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if chain.hang != nil {
				close(chain.hang)
			}
			// The store goes on with its files once a keychain is there.
			if place, err := storeIn(t, newFakeKeychain(), dir); err != nil || place.name == "a fake keychain" {
				t.Errorf("%s, %v", place.name, err)
			}
		})
	}
}
