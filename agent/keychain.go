package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/consentry/consentry/consent"
)

// SystemKeychain is the keychain of the user's session. Its calls may hang: a
// service on a bus may be gone, or wait for a password.
type SystemKeychain interface {
	Name() string
	// Reachable is false where a call would only start a service that nobody sees.
	Reachable() bool
	Get(account string) (secret string, found bool, err error)
	Set(account, secret string) error // "" removes it
}

// keychainWait is how long a call may take. It is well below the time in which
// an agent that is started must answer.
const keychainWait = 2 * time.Second

// keyPlace is where the key of the consent store is kept.
type keyPlace struct {
	consent.Keychain
	name string // for doctor
}

// findKeys chooses the keychain of the store in dir. The system's goes before
// files, so that files put beside a store whose key is in the system's are not
// believed:
//
//	the system's has the key                     ─▶ it
//	it has none; files do                        ─▶ files, as when the store was made
//	neither has; there is a store                ─▶ the system's: the key is lost, the store is damaged
//	neither has; no store, and it keeps a value  ─▶ it
//	it does not answer; there is a store without files ─▶ it: denied until it answers
//	none, or it does not answer                  ─▶ files
func findKeys(system SystemKeychain, dir string, log *slog.Logger) keyPlace {
	inFiles := keyPlace{consent.Files(dir), "files of mode 0600 in " + dir}
	if system == nil || !system.Reachable() {
		return inFiles
	}
	chain := &boundedKeychain{system: system, dir: dir, wait: keychainWait, busy: make(chan struct{}, 1)}
	inSystem := keyPlace{chain, system.Name()}
	key, err := chain.Get(consent.KeyValue)
	filed, fileErr := inFiles.Get(consent.KeyValue)
	hasFile := len(filed) > 0 || fileErr != nil
	_, statErr := os.Stat(filepath.Join(dir, "consent.db"))
	hasStore := statErr == nil
	switch {
	case err == nil && len(key) > 0:
		return inSystem
	case hasFile:
		return inFiles
	case hasStore:
		return inSystem
	case err == nil && chain.keeps() == nil:
		return inSystem
	}
	log.Warn("the system's keychain does not serve; the store's key is kept in files", "keychain", system.Name(), "error", err)
	return inFiles
}

// boundedKeychain gives up on calls that hang. A call that was given up keeps
// its goroutine, and the keychain closed to others, until it comes back.
type boundedKeychain struct {
	system SystemKeychain
	dir    string
	wait   time.Duration
	busy   chan struct{}
}

var errNoAnswer = errors.New("it does not answer")

// account names a value: each store has its own.
func (b *boundedKeychain) account(name string) string { return name + " of " + b.dir }

func (b *boundedKeychain) Get(name string) ([]byte, error) {
	type answer struct {
		secret string
		found  bool
	}
	got, err := within(b, func() (a answer, err error) {
		a.secret, a.found, err = b.system.Get(b.account(name))
		return a, err
	})
	if err != nil || !got.found {
		return nil, err
	}
	return hex.DecodeString(got.secret)
}

func (b *boundedKeychain) Set(name string, value []byte) error {
	_, err := within(b, func() (struct{}, error) {
		return struct{}{}, b.system.Set(b.account(name), hex.EncodeToString(value))
	})
	return err
}

// keeps proves that what is set can be got: some services answer and keep nothing.
func (b *boundedKeychain) keeps() error {
	const probe = "probe"
	if err := b.Set(probe, []byte(probe)); err != nil {
		return err
	}
	got, err := b.Get(probe)
	if err == nil && string(got) != probe {
		err = errors.New("it does not keep what is put in")
	}
	return errors.Join(err, b.Set(probe, nil))
}

// within runs one call at a time, each no longer than wait.
func within[T any](b *boundedKeychain, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	timeout := time.NewTimer(b.wait)
	defer timeout.Stop()
	select {
	case b.busy <- struct{}{}:
	case <-timeout.C:
		return none, fmt.Errorf("%s: %w", b.system.Name(), errNoAnswer)
	}
	done := make(chan result, 1)
	go func() {
		value, err := call()
		<-b.busy
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return none, fmt.Errorf("%s: %w", b.system.Name(), r.err)
		}
		return r.value, nil
	case <-timeout.C:
		return none, fmt.Errorf("%s: %w", b.system.Name(), errNoAnswer)
	}
}

// Session is the keychain of the session this process belongs to.
func Session() SystemKeychain { return session{} }

type session struct{}

const keychainService = "consentry"

func (session) Name() string    { return sessionKeychain }
func (session) Reachable() bool { return sessionReachable() }

func (session) Get(account string) (string, bool, error) {
	secret, err := keyring.Get(keychainService, account)
	if errors.Is(err, keyring.ErrNotFound) {
		return "", false, nil
	}
	return secret, err == nil, err
}

func (session) Set(account, secret string) error {
	if secret != "" {
		return keyring.Set(keychainService, account, secret)
	}
	if err := keyring.Delete(keychainService, account); !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	return nil
}
