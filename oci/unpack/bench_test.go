//go:build linux

package unpack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// benchLayer is shaped like a base image: many small files, a few large ones.
func benchLayer(b *testing.B) []byte {
	var entries []entry
	for d := range 200 {
		dir := fmt.Sprintf("usr/share/d%d/", d)
		entries = append(entries, entry{name: dir})
		for f := range 25 {
			body := bytes.Repeat([]byte{byte(d), byte(f), 7}, 100+(d*f)%9000)
			entries = append(entries, entry{name: fmt.Sprint(dir, "f", f), body: string(body)})
		}
	}
	for f := range 8 {
		entries = append(entries, entry{name: fmt.Sprint("big", f), body: string(bytes.Repeat([]byte{1, 2, byte(f)}, 3<<20))})
	}
	return tarOf(b, entries...)
}

// BenchmarkUnpack is to be read against BenchmarkTar: the same bytes by tar -x.
func BenchmarkUnpack(b *testing.B) {
	raw := benchLayer(b)
	base := b.TempDir()
	b.SetBytes(int64(len(raw)))
	for i := 0; b.Loop(); i++ {
		dir := filepath.Join(base, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		if _, err := Layer(b.Context(), dir, bytes.NewReader(raw), DefaultLimits); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkTar(b *testing.B) {
	raw := benchLayer(b)
	base := b.TempDir()
	b.SetBytes(int64(len(raw)))
	for i := 0; b.Loop(); i++ {
		dir := filepath.Join(base, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command("tar", "-x", "--same-owner", "-C", dir)
		cmd.Stdin = bytes.NewReader(raw)
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
