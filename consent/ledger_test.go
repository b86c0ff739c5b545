package consent

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/consent/chain"
)

// small bounds: a part is put away every few lines, and three are kept.
var small = limits{live: 40, part: 16, parts: 3, reserve: 64 << 10}

func openWith(t *testing.T, cfg Config) *Engine {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// note writes n lines that wait for the disk.
func note(t *testing.T, e *Engine, n int) {
	t.Helper()
	for i := range n {
		if err := e.Note(Event{Event: "start", App: demo, Run: "run" + strconv.Itoa(i), Detail: "a \xff byte"}); err != nil {
			t.Fatal(err)
		}
	}
}

func verified(t *testing.T, e *Engine) uint64 {
	t.Helper()
	n, err := e.VerifyLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOldLinesArePutAwayAndTheChainCrosses(t *testing.T) {
	dir := t.TempDir()
	e := openWith(t, Config{Dir: dir, limits: small})
	note(t, e, 60)
	if n := verified(t, e); n != 60 {
		t.Fatalf("%d lines, want 60", n)
	}
	var inside int
	if err := e.store.db.QueryRow(`SELECT count(*) FROM ledger`).Scan(&inside); err != nil || inside > int(small.live) {
		t.Fatalf("%d lines in the database, %v", inside, err)
	}
	note(t, e, 100)
	n := verified(t, e)
	if most := uint64(small.parts)*small.part + small.live; n > most || n < small.live {
		t.Errorf("%d lines kept, at most %d are wanted", n, most)
	}
	files, err := filepath.Glob(filepath.Join(dir, ledgerFolder, "*"))
	if err != nil || len(files) != small.parts {
		t.Errorf("archives: %v, %v", files, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if again := verified(t, openWith(t, Config{Dir: dir, limits: small})); again != n {
		t.Errorf("%d lines after a new start, before %d", again, n)
	}
}

func TestWhatIsTakenFromAnArchiveShows(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"gone": {func(t *testing.T, path string) { must(t, os.Remove(path)) }, "is gone"},
		"cut":  {func(t *testing.T, path string) { must(t, os.Truncate(path, 100)) }, "line"},
		"other": {func(t *testing.T, path string) {
			raw, err := os.ReadFile(filepath.Join(filepath.Dir(path), "after-000000000016.ndjson.gz"))
			must(t, err)
			must(t, os.WriteFile(path, raw, 0o600))
		}, "another one"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := openWith(t, Config{Dir: dir, limits: small})
			note(t, e, 60)
			verified(t, e)
			c.spoil(t, filepath.Join(dir, ledgerFolder, "after-000000000000.ndjson.gz"))
			if n, err := e.VerifyLog(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || n > small.part {
				t.Errorf("%d lines, %v", n, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alter runs one statement on a closed store.
func alter(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, storeFile))
	must(t, err)
	defer db.Close()
	res, err := db.Exec(statement)
	must(t, err)
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed nothing: %v", statement, err)
	}
}

// Every edit of the ledger shows: at the start where it is at an end, else in
// log verify.
func TestAnEditedLedgerShows(t *testing.T) {
	for _, statement := range []string{
		`UPDATE ledger SET target = 'tcp/elsewhere:1' WHERE seq = 5`,
		`UPDATE ledger SET bytes_out = bytes_out + 1 WHERE seq = 5`,
		`UPDATE ledger SET time = time + 1 WHERE seq = 1`,
		`DELETE FROM ledger WHERE seq = 5`,
		`DELETE FROM ledger WHERE seq = 10`,
		`DELETE FROM ledger WHERE seq = 1`,
		`DELETE FROM ledger`,
		`UPDATE state SET head_seq = 9, head_hash = (SELECT hash FROM ledger WHERE seq = 9)`,
		`UPDATE state SET floor_seq = 3, floor_hash = (SELECT hash FROM ledger WHERE seq = 3)`,
		`UPDATE state SET anchor_seq = 3, anchor_hash = (SELECT hash FROM ledger WHERE seq = 3)`,
		`UPDATE state SET signature = randomblob(64)`,
	} {
		t.Run(statement, func(t *testing.T) {
			dir := t.TempDir()
			e := openWith(t, Config{Dir: dir, limits: small})
			note(t, e, 10)
			must(t, e.Close())
			alter(t, dir, statement)
			after := openWith(t, Config{Dir: dir, limits: small})
			_, err := after.VerifyLog(t.Context())
			if err == nil {
				t.Error("nobody sees it")
			}
		})
	}
}

func TestAnExportIsProvedWithThePublicKeyAlone(t *testing.T) {
	e := openWith(t, Config{Dir: t.TempDir(), limits: small})
	note(t, e, 60)
	var out bytes.Buffer
	must(t, e.Export(t.Context(), &out))
	key := hex.EncodeToString(e.store.seal.public())
	seen := 0
	proof, err := chain.Verify(bytes.NewReader(out.Bytes()), key, func(Line) error { seen++; return nil })
	if err != nil || proof.First != 1 || proof.Last != 60 || seen != 60 || proof.Key != key {
		t.Fatalf("%+v with %d lines, %v", proof, seen, err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
	for name, text := range map[string]string{
		"changed":    strings.Replace(out.String(), "run7", "run8", 1),
		"cut off":    strings.Join(lines[:30], ""),
		"no end":     strings.Join(lines[:len(lines)-1], ""),
		"line gone":  strings.Join(append(append([]string{}, lines[:20]...), lines[21:]...), ""),
		"begin gone": lines[0] + strings.Join(lines[5:], ""),
		"end moved":  strings.Join(append(append([]string{}, lines[:40]...), lines[len(lines)-1]), ""),
		"more":       out.String() + lines[1],
		"nothing":    "",
	} {
		if _, err := chain.Verify(strings.NewReader(text), key, nil); err == nil {
			t.Errorf("%s: taken for whole", name)
		}
	}
	other := strings.Repeat("ab", 32)
	if _, err := chain.Verify(bytes.NewReader(out.Bytes()), other, nil); err == nil {
		t.Error("taken for another's")
	}
	forged := strings.Replace(out.String(), key, other, 1)
	if _, err := chain.Verify(strings.NewReader(forged), "", nil); err == nil {
		t.Error("signed by nobody")
	}
}

// Lines are read while others are written and put away.
func TestTheChainIsProvedWhileItGrows(t *testing.T) {
	e := openWith(t, Config{Dir: t.TempDir(), limits: small})
	var writers sync.WaitGroup
	writers.Go(func() { note(t, e, 150) })
	for range 10 {
		verified(t, e)
	}
	writers.Wait()
	note(t, e, 1)
	verified(t, e)
}

func TestUsesAreOnDiskWithin100ms(t *testing.T) {
	var mu sync.Mutex
	commits := 0
	e := openWith(t, Config{Dir: t.TempDir(), step: func(step string) {
		if step == "committed" {
			mu.Lock()
			defer mu.Unlock()
			commits++
		}
	}})
	note(t, e, 1)
	mu.Lock()
	commits = 0
	mu.Unlock()
	const uses = 500
	for range uses {
		e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, In: 1, Out: 2})
	}
	begin := time.Now()
	for {
		lines, err := e.store.read(t.Context(), Query{Kind: string(NetConnect)}) // Log would not wait
		must(t, err)
		if len(lines) == uses {
			break
		}
		if time.Since(begin) > 10*time.Second { // 100 ms on a machine that does nothing else
			t.Fatalf("%d lines of %d", len(lines), uses)
		}
		time.Sleep(5 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if commits > uses/10 {
		t.Errorf("%d commits for %d uses: they are not grouped", commits, uses)
	}
	if groupWait*2 > 100*time.Millisecond {
		t.Errorf("a group waits %v", groupWait)
	}
}

func TestReceiptsTellWhatBecameOfAnAnswer(t *testing.T) {
	e := openWith(t, Config{Dir: t.TempDir(), limits: small})
	d := asked(t, e, asking(target), Allow, Always)
	asked(t, e, asking("tcp/other.example.com:443"), Deny, Once)
	e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule, In: 10, Out: 20})
	e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule, In: 1, Out: 2})
	_, err := e.Revoke(t.Context(), Selector{All: true})
	must(t, err)
	note(t, e, 60) // the answers are in an archive now
	r, err := e.Receipts(t.Context(), Query{App: "demo"})
	must(t, err)
	if len(r.Receipts) != 2 || r.Ledger.First != 1 || r.Ledger.Last < 60 {
		t.Fatalf("%+v", r)
	}
	yes, no := r.Receipts[0], r.Receipts[1]
	if yes.RecordID != d.Rule || yes.Processing[0].Purpose != "to fetch the news" || yes.Processing[0].PII[0].What != target {
		t.Errorf("%+v", yes)
	}
	if len(yes.Events) != 2 || yes.Events[0].State != "consent given" || yes.Events[0].Validity != "always" || yes.Events[1].State != "consent withdrawn" {
		t.Errorf("events: %+v", yes.Events)
	}
	if yes.Use == nil || yes.Use.Times != 2 || yes.Use.In != 11 || yes.Use.Out != 22 {
		t.Errorf("use: %+v", yes.Use)
	}
	if len(no.Events) != 1 || no.Events[0].State != "consent refused" || no.Use != nil {
		t.Errorf("%+v", no)
	}
	if none, err := e.Receipts(t.Context(), Query{App: "nobody"}); err != nil || len(none.Receipts) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}

// Reading stops when who reads has left.
func TestReadingEndsWithItsContext(t *testing.T) {
	e := openWith(t, Config{Dir: t.TempDir(), limits: small})
	note(t, e, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.VerifyLog(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
