package consent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// copyStore copies a closed store.
func copyStore(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// deniesAll wants every verdict to be no, an alert, and the file kept as it is.
func deniesAll(t *testing.T, dir string) {
	t.Helper()
	before, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	e := openWith(t, Config{Dir: dir})
	for _, host := range []string{target, "tcp/api.exfiltr.com:443", "tcp/second.example.com:443"} {
		if d := e.Decide(t.Context(), asking(host), Ask{Hold: time.Millisecond}); d.Verdict != Deny || d.Source != FromFault {
			t.Errorf("%s: %+v", host, d)
		}
		if d, ok := e.Lookup(asking(host)); !ok || d.Verdict != Deny {
			t.Errorf("an open flow to %s is not cut: %+v", host, d)
		}
	}
	if err := e.Health(); !errors.Is(err, ErrDamaged) {
		t.Errorf("no alert: %v", err)
	}
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: target, Verdict: Allow}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a rule can be given: %v", err)
	}
	must(t, e.Close())
	after, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err == nil && !bytes.Equal(before, after) {
		t.Error("the damaged file was changed")
	}
}

// Probe 57: store corrupt, truncated, rolled back, row edited ⇒ deny and alert.
func TestProbe57ADamagedStore(t *testing.T) {
	old := t.TempDir()
	e := openWith(t, Config{Dir: old})
	asked(t, e, asking(target), Allow, Always)
	must(t, e.Close())

	sound := copyStore(t, old)
	e = openWith(t, Config{Dir: sound})
	_, err := e.Revoke(t.Context(), Selector{All: true})
	must(t, err)
	asked(t, e, asking("tcp/second.example.com:443"), Allow, Always)
	must(t, e.Close())

	overwrite := func(name string, from []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, name), from, 0o600)) }
	}
	read := func(dir, name string) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return raw
	}
	db := read(sound, storeFile)
	sql := func(statement string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { alter(t, dir, statement) }
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, name))) }
	}
	for name, spoil := range map[string]func(*testing.T, string){
		"garbage":              overwrite(storeFile, bytes.Repeat([]byte("x"), len(db))),
		"truncated":            overwrite(storeFile, db[:len(db)/2]),
		"one page short":       overwrite(storeFile, db[:len(db)-4096]),
		"empty":                overwrite(storeFile, nil),
		"gone":                 remove(storeFile),
		"rolled back":          overwrite(storeFile, read(old, storeFile)),
		"row edited in place":  overwrite(storeFile, bytes.ReplaceAll(db, []byte("second.example.com"), []byte("api.exfiltr.com:80"))),
		"target edited":        sql(`UPDATE rules SET target = 'tcp/api.exfiltr.com:443'`),
		"lifetime edited":      sql(`UPDATE rules SET expires = expires + 1`),
		"verdict edited":       sql(`UPDATE rules SET verdict = 'deny'`),
		"row removed":          sql(`DELETE FROM rules`),
		"row added":            sql(`INSERT INTO rules SELECT 'x', app, name, run, kind, 'tcp/api.exfiltr.com:443', verdict, lifetime, expires, since, by, shape FROM rules`),
		"clock edited":         sql(`UPDATE state SET high = high - 1`),
		"generation edited":    sql(`UPDATE state SET generation = generation + 1`),
		"key of another store": overwrite(KeyValue, bytes.Repeat([]byte{1}, keySize)),
		"short key":            overwrite(KeyValue, []byte("short")),
		"empty key":            overwrite(KeyValue, nil),
		"key gone":             remove(KeyValue),
		"mark rolled back":     overwrite(MarkValue, []byte("2\n")),
		"mark from the future": overwrite(MarkValue, []byte("2000\n")),
		"mark is no number":    overwrite(MarkValue, []byte("x")),
		"mark empty":           overwrite(MarkValue, nil),
		"mark gone":            remove(MarkValue),
		"trigger added": sql(`CREATE TRIGGER t AFTER INSERT ON ledger BEGIN DELETE FROM rules; END;
			UPDATE rules SET target = 'tcp/api.exfiltr.com:443'`),
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyStore(t, sound)
			spoil(t, dir)
			deniesAll(t, dir)
		})
	}
	if err := openWith(t, Config{Dir: copyStore(t, sound)}).Health(); err != nil {
		t.Errorf("the sound store: %v", err) // else the rows above prove nothing
	}
}

func TestResetKeepsTheOldAndBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	e := openWith(t, Config{Dir: dir, limits: small})
	asked(t, e, asking(target), Allow, Always)
	note(t, e, 60) // an archive too
	must(t, e.Close())
	path := filepath.Join(dir, storeFile)
	raw, err := os.ReadFile(path)
	must(t, err)
	spoiled := []byte(strings.ReplaceAll(string(raw), "api.example.com", "api.exfiltr.com"))
	must(t, os.WriteFile(path, spoiled, 0o600))
	deniesAll(t, dir)

	kept, err := Reset(dir, nil, time.Now())
	must(t, err)
	if got, err := os.ReadFile(filepath.Join(kept, storeFile)); err != nil || !bytes.Equal(got, spoiled) {
		t.Errorf("the damaged file is not kept: %v", err)
	}
	after := openWith(t, Config{Dir: dir, limits: small})
	if err := after.Health(); err != nil || len(after.Rules("")) != 0 {
		t.Fatalf("%v, rules %v", err, after.Rules(""))
	}
	if d := silent(after, asking(target)); d.Verdict != Deny {
		t.Errorf("an old rule is back: %+v", d)
	}
	asked(t, after, asking(target), Allow, Always)
	note(t, after, 60)
	verified(t, after)

	// The old files put back do not count: the key is another one.
	must(t, after.Close())
	must(t, os.WriteFile(path, raw, 0o600))
	deniesAll(t, dir)
}
