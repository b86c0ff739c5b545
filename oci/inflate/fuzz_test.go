package inflate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// packed compresses text at a level.
func packed(t testing.TB, level int, text []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, level)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// texts are of every kind: none, runs, words, noise, far repeats.
func texts() [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	words := make([]byte, 0, 400<<10)
	for len(words) < 400<<10 {
		words = append(words, strings.Repeat("ab", rng.IntN(5))+" "+string(noise[rng.IntN(1000):][:rng.IntN(9)])...)
	}
	var far []byte
	for range 11 {
		far = append(far, noise[:32<<10]...)
	}
	skewed := make([]byte, 350<<10) // long codes
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
	}
	return [][]byte{nil, []byte("a"), bytes.Repeat([]byte("x"), 700_000), bytes.Repeat([]byte("abc"), 200_000), noise, words, far, skewed}
}

func TestSameAsCompressGzip(t *testing.T) {
	for i, text := range texts() {
		for _, level := range []int{gzip.HuffmanOnly, gzip.NoCompression, gzip.BestSpeed, gzip.DefaultCompression} {
			raw := packed(t, level, text)
			raw = append(raw, packed(t, level, text[:len(text)/3])...) // a second member
			for _, r := range []io.Reader{bytes.NewReader(raw), iotest.HalfReader(bytes.NewReader(raw))} {
				got, err := io.ReadAll(NewReader(r))
				if err != nil || !bytes.Equal(got, append(text[:len(text):len(text)], text[:len(text)/3]...)) {
					t.Errorf("text %d at level %d: %d bytes, %v", i, level, len(got), err)
				}
			}
		}
	}
}

func TestCutAndChanged(t *testing.T) {
	text := bytes.Repeat([]byte("some text, some more "), 300)
	raw := packed(t, gzip.DefaultCompression, text)
	for n := range raw {
		if _, err := io.ReadAll(NewReader(bytes.NewReader(raw[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d of %d: %v", n, len(raw), err)
		}
		changed := bytes.Clone(raw)
		changed[n] ^= 0x10
		compare(t, changed)
	}
	broken := errors.New("broken")
	half := io.MultiReader(bytes.NewReader(raw[:len(raw)/2]), iotest.ErrReader(broken))
	if _, err := io.ReadAll(NewReader(half)); !errors.Is(err, broken) {
		t.Errorf("a source that breaks: %v", err)
	}
}

// compare reads raw with both and fails where they differ.
func compare(t *testing.T, raw []byte) {
	t.Helper()
	const most = 1 << 20
	ours, ourErr := io.ReadAll(io.LimitReader(NewReader(bytes.NewReader(raw)), most))
	var theirs []byte
	zr, theirErr := gzip.NewReader(bytes.NewReader(raw))
	if theirErr == nil {
		theirs, theirErr = io.ReadAll(io.LimitReader(zr, most))
	}
	if (ourErr == nil) != (theirErr == nil) {
		t.Errorf("ours: %d bytes, %v; compress/gzip: %d bytes, %v", len(ours), ourErr, len(theirs), theirErr)
	}
	if ourErr == nil && !bytes.Equal(ours, theirs) {
		t.Errorf("%d bytes, compress/gzip has %d others", len(ours), len(theirs))
	}
}

// FuzzReader: the same bytes and the same verdict as compress/gzip.
func FuzzReader(f *testing.F) {
	for _, text := range texts() {
		text = text[:min(len(text), 2000)]
		for _, level := range []int{gzip.NoCompression, gzip.BestSpeed, gzip.BestCompression} {
			f.Add(packed(f, level, text))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		compare(t, raw)
		// Also as the body of a member whose checksum nobody could guess.
		compareBody(t, raw)
	})
}

// compareBody takes raw for a deflate stream: both must find the same bytes
// before the trailer is looked at.
func compareBody(t *testing.T, raw []byte) {
	t.Helper()
	head := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	member := append(head, raw...)
	ours, ourErr := io.ReadAll(io.LimitReader(NewReader(bytes.NewReader(member)), 1<<20))
	zr, err := gzip.NewReader(bytes.NewReader(member))
	if err != nil {
		t.Fatal(err)
	}
	theirs, theirErr := io.ReadAll(io.LimitReader(zr, 1<<20))
	if errors.Is(ourErr, errChecksum) != errors.Is(theirErr, gzip.ErrChecksum) {
		t.Errorf("ours %v, compress/gzip %v", ourErr, theirErr)
	}
	if errors.Is(ourErr, errChecksum) && !bytes.Equal(ours, theirs) {
		t.Errorf("%d bytes, compress/gzip has %d others", len(ours), len(theirs))
	}
}

func BenchmarkInflate(b *testing.B) {
	raw := packed(b, gzip.BestSpeed, texts()[5])
	b.SetBytes(400 << 10)
	for b.Loop() {
		if _, err := io.Copy(struct{ io.Writer }{io.Discard}, NewReader(bytes.NewReader(raw))); err != nil {
			b.Fatal(err)
		}
	}
}
