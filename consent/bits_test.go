package consent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const bitRules = 100

func bitTarget(i int) string { return fmt.Sprintf("tcp/h%d.example.com:443", i) }

// bitVerdicts is one letter for each rule, and for a target beside.
func bitVerdicts(e *Engine) string {
	var all strings.Builder
	for i := range bitRules + 1 {
		d, ok := e.Lookup(asking(bitTarget(i)))
		switch {
		case !ok:
			all.WriteByte('a')
		case d.Verdict == Allow:
			all.WriteByte('y')
		default:
			all.WriteByte('n')
		}
	}
	return all.String()
}

// TestBitFlips turns single bits of a store with 100 rules: the verdicts stay
// the same, or everything is denied. Always each bit of the file's header and of
// the sealed row, a bit of each sixth byte of pages with rules, and of each
// 24th of the rest; with CONSENTRY_LONG every bit there is.
func TestBitFlips(t *testing.T) {
	if raceDetector {
		without(t)
		return
	}
	dir := t.TempDir()
	e := openWith(t, Config{Dir: dir, limits: limits{reserve: 4096}})
	for i := range bitRules {
		verdict := Allow
		if i%3 == 0 {
			verdict = Deny
		}
		_, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: bitTarget(i), Verdict: verdict})
		must(t, err)
	}
	want, mac := bitVerdicts(e), e.store.mac
	must(t, e.Close())
	raw, err := os.ReadFile(filepath.Join(dir, storeFile))
	must(t, err)
	mark, err := os.ReadFile(filepath.Join(dir, MarkValue))
	must(t, err)
	if strings.Count(want, "y") != 66 || strings.Count(want, "n") != 34 || !strings.HasSuffix(want, "a") {
		t.Fatal(want)
	}

	queue := make(chan int, 64)
	var same, denied, failures atomic.Int64
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		mine := copyStore(t, dir)
		workers.Go(func() {
			for bit := range queue {
				got, err := flipped(mine, raw, mark, bit)
				switch {
				case err == nil && got == want:
					same.Add(1)
				case err != nil && strings.Trim(got, "n") == "":
					denied.Add(1)
				case failures.Add(1) < 10:
					t.Errorf("bit %d of byte %d: %s, %v", bit%8, bit/8, got, err)
				}
			}
		})
	}
	begin := time.Now()
	bits := bitsToFlip(raw, mac)
	for _, bit := range bits {
		queue <- bit
	}
	close(queue)
	workers.Wait()
	t.Logf("%d of %d bits turned: %d change nothing, %d deny all; %v", len(bits), len(raw)*8, same.Load(), denied.Load(),
		time.Since(begin).Round(time.Second))
	if denied.Load() == 0 {
		t.Error("nothing was noticed")
	}
}

// flipped opens the store with one bit turned; the error is Health's.
func flipped(dir string, raw, mark []byte, bit int) (string, error) {
	spoiled := bytes.Clone(raw)
	spoiled[bit/8] ^= 1 << (bit % 8)
	for _, name := range []string{storeFile + "-wal", storeFile + "-journal"} {
		os.Remove(filepath.Join(dir, name))
	}
	for name, content := range map[string][]byte{storeFile: spoiled, MarkValue: mark} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	e, err := Open(context.Background(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler), limits: limits{reserve: 4096}})
	if err != nil {
		return "", err
	}
	defer e.Close()
	return bitVerdicts(e), e.Health()
}

func bitsToFlip(raw, mac []byte) (bits []int) {
	random := rand.New(rand.NewPCG(1, 0))
	row := bytes.Index(raw, mac)
	const page = 4096
	for at := range raw {
		of := raw[at/page*page : min(len(raw), (at/page+1)*page)]
		every := 24
		if bytes.Contains(of, []byte("example.com")) && bytes.Contains(of, []byte("always")) {
			every = 6
		}
		switch {
		case long(), at < 100, at > row-64 && at < row+len(mac)+200:
			for bit := range 8 {
				bits = append(bits, at*8+bit)
			}
		case at%every == 0:
			bits = append(bits, at*8+random.IntN(8))
		}
	}
	return bits
}
