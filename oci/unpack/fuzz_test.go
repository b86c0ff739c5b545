//go:build linux

package unpack

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzUnpack: no stream, laid over a small layer that tempts it, may change
// anything beside its own directory, or leave in it what the kernel acts upon.
func FuzzUnpack(f *testing.F) {
	for _, seed := range [][]entry{
		{{name: "a/"}, {name: "a/f", body: "x"}, {name: "l", kind: '2', link: "/a"}, {name: "l/g"}},
		{{name: "l", kind: '2', link: "../../victim"}, {name: "l/f", body: "evil"}},
		{{name: "h", kind: '1', link: "usr/file"}, {name: "bin/x", body: "x"}, {name: "bin/.wh.y"}},
		{{name: ".wh..wh..opq"}, {name: "usr/.wh.file"}, {name: "d", kind: '3', major: 1}},
		{{name: "usr/out/f", body: "evil"}, {name: "h", kind: '1', link: "usr/out/canary"}},
		{{name: "x", pax: map[string]string{paxXattr + "user.overlay.opaque": "y"}}},
		{{name: "p", kind: '6'}, {name: "p/"}, {name: "../p"}},
	} {
		f.Add(tarOf(f, seed...))
	}
	base := tarOf(f, entry{name: "usr/"}, entry{name: "usr/file", body: "f"}, entry{name: "usr/bin/"},
		entry{name: "bin", kind: '2', link: "usr/bin"}, entry{name: "usr/out", kind: '2', link: "../../victim"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		root := t.TempDir()
		victim := filepath.Join(root, "victim")
		if err := os.Mkdir(victim, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(victim, "canary"), []byte("untouched"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := checksum(t, victim)
		var dirs []string
		for _, layer := range [][]byte{base, raw} {
			dir := filepath.Join(root, string(rune('a'+len(dirs))))
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			res, err := Layer(t.Context(), dir, bytes.NewReader(layer), testLimits)
			if err == nil && res.Relative {
				err = Settle(t.Context(), dir, dirs, res, testLimits)
			}
			dirs = append(dirs, dir)
			if err != nil {
				break
			}
			noTraps(t, dir)
		}
		if checksum(t, victim) != before {
			t.Error("the host's tree changed")
		}
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != len(dirs)+1 {
			t.Errorf("beside the layers: %v, %v", entries, err)
		}
	})
}
