//go:build linux

package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var epoch = time.Unix(1_700_000_000, 0)

// entry is one member of a layer that a test builds.
type entry struct {
	name, body, link string
	kind             byte // 0: a directory when name ends in "/", else a file
	mode             int64
	uid, gid         int
	major, minor     int64
	pax              map[string]string
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		hdr := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Uid: e.uid, Gid: e.gid,
			Devmajor: e.major, Devminor: e.minor, Size: int64(len(e.body)), ModTime: epoch, PAXRecords: e.pax}
		if e.kind == 0 && strings.HasSuffix(e.name, "/") {
			hdr.Typeflag = tar.TypeDir
		} else if e.kind == 0 {
			hdr.Typeflag = tar.TypeReg
		}
		if hdr.Mode == 0 {
			hdr.Mode = 0o755
		}
		if err := tw.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// testLimits is small enough for bombs to hit in a test.
var testLimits = Limits{Bytes: 1 << 20, Entries: 3000}

// stack unpacks and settles layers, lowest first.
func stack(t testing.TB, layers ...[]byte) (dirs []string, results []*Result, err error) {
	t.Helper()
	base := t.TempDir()
	for i, raw := range layers {
		dir := filepath.Join(base, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		res, err := Layer(t.Context(), dir, bytes.NewReader(raw), testLimits)
		if err != nil {
			return dirs, results, err
		}
		if res.Relative {
			if err := Settle(t.Context(), dir, dirs, res, testLimits); err != nil {
				return dirs, results, err
			}
		}
		dirs, results = append(dirs, dir), append(results, res)
	}
	return dirs, results, nil
}

// canary is a tree beside the layer that must never change.
func canary(t testing.TB) (dir string, check func()) {
	t.Helper()
	dir = t.TempDir()
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "etc"), 0o755),
		os.WriteFile(filepath.Join(dir, "etc", "passwd"), []byte("root:x:0:0::/root:/bin/sh\n"), 0o644),
		os.Symlink("passwd", filepath.Join(dir, "etc", "link")))
	if err != nil {
		t.Fatal(err)
	}
	before := checksum(t, dir)
	return dir, func() {
		t.Helper()
		if after := checksum(t, dir); after != before {
			t.Errorf("the host's tree changed:\nbefore %s\nafter  %s", before, after)
		}
	}
}

// checksum covers names, types, modes, owners, link counts, times and contents.
func checksum(t testing.TB, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(h, "%s %o %d %d %d %d\n", path, st.Mode, st.Uid, st.Gid, st.Nlink, st.Mtim.Nano())
		if info.Mode().IsRegular() {
			raw, err := os.ReadFile(path)
			h.Write(raw)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestHostile: each of these is refused, or contained in the layer; the host's
// tree beside it does not change. CANARY stands for its absolute path.
func TestHostile(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth+1) + "f"
	xattr := func(name, value string) map[string]string { return map[string]string{paxXattr + name: value} }
	many := make([]entry, testLimits.Entries+1)
	for i := range many {
		many[i] = entry{name: fmt.Sprint("f", i)}
	}
	var implied []entry
	for i := range 20 {
		implied = append(implied, entry{name: fmt.Sprint(i, "/", strings.Repeat("x/", 300), "f")})
	}
	var loop []entry
	for i := range maxLinkHops + 2 {
		loop = append(loop, entry{name: fmt.Sprint("l", i), kind: '2', link: fmt.Sprint("l", i+1)})
	}
	for i, c := range []struct {
		what    string
		entries []entry
		refused bool // else contained: it unpacks
	}{
		{"dotdot", []entry{{name: "../evil"}}, true},
		{"dotdot inside", []entry{{name: "a/../../evil"}}, true},
		{"dotdot that stays", []entry{{name: "a/../b"}}, true},
		{"dotdot alone", []entry{{name: "..", kind: '5'}}, true},
		{"absolute", []entry{{name: "CANARY/etc/passwd", body: "evil"}}, true},
		{"absolute, doubled", []entry{{name: "//CANARY/etc/passwd", body: "evil"}}, true},
		{"root as a file", []entry{{name: ".", kind: '0'}}, true},
		{"root as a link", []entry{{name: "./", kind: '2', link: "CANARY"}}, true},
		{"absolute link, then through it", []entry{{name: "l", kind: '2', link: "CANARY/etc"}, {name: "l/passwd", body: "evil"}}, false},
		{"relative link out, then through it", []entry{{name: "l", kind: '2', link: "../../../../../../../../CANARY/etc"}, {name: "l/passwd", body: "evil"}}, true},
		{"link to .., then through it", []entry{{name: "l", kind: '2', link: ".."}, {name: "l/evil"}}, true},
		{"link in two steps", []entry{{name: "a", kind: '2', link: "b/.."}, {name: "b", kind: '2', link: ".."}, {name: "a/evil"}}, true},
		{"link as the file itself", []entry{{name: "l", kind: '2', link: "CANARY/etc/passwd"}, {name: "l", body: "evil"}}, false},
		{"directory over a link out", []entry{{name: "l", kind: '2', link: "CANARY/etc"}, {name: "l/"}, {name: "l/passwd", body: "evil"}}, false},
		{"whiteout through a link", []entry{{name: "l", kind: '2', link: "CANARY/etc"}, {name: "l/.wh.passwd"}}, false},
		{"opaque through a link", []entry{{name: "l", kind: '2', link: "CANARY/etc"}, {name: "l/.wh..wh..opq"}}, false},
		{"empty link", []entry{{name: "l", kind: '2', link: ""}}, true},
		{"link loop", append(loop, entry{name: "l0/f"}), true},
		{"link to itself", []entry{{name: "l", kind: '2', link: "l"}, {name: "l/f"}}, true},
		{"magic link", []entry{{name: "l", kind: '2', link: "/proc/self/root/CANARY/etc"}, {name: "l/passwd", body: "evil"}}, false},
		{"hard link out, absolute", []entry{{name: "h", kind: '1', link: "CANARY/etc/passwd"}, {name: "h", body: "evil"}}, true},
		{"hard link out, climbing", []entry{{name: "h", kind: '1', link: "../../CANARY/etc/passwd"}}, true},
		{"hard link through a link", []entry{{name: "l", kind: '2', link: "CANARY/etc"}, {name: "h", kind: '1', link: "l/passwd"}}, true},
		{"hard link to a link, then written", []entry{{name: "l", kind: '2', link: "CANARY/etc/passwd"}, {name: "h", kind: '1', link: "l"}, {name: "h", body: "evil"}}, false},
		{"hard link to a directory", []entry{{name: "d/"}, {name: "h", kind: '1', link: "d"}}, true},
		{"hard link to nothing", []entry{{name: "h", kind: '1', link: "nothing"}}, true},
		{"hard link to itself", []entry{{name: "h", kind: '1', link: "h"}}, true},
		{"hard link to the root", []entry{{name: "h", kind: '1', link: "."}}, true},
		{"hard link to a whiteout", []entry{{name: ".wh.x"}, {name: "h", kind: '1', link: "x"}}, true},
		{"hard link to a whiteout's name", []entry{{name: ".wh.x"}, {name: "h", kind: '1', link: ".wh.x"}}, true},
		{"device", []entry{{name: "dev/"}, {name: "dev/sda", kind: '4', major: 8}, {name: "dev/mem", kind: '3', major: 1, minor: 1}}, false},
		{"hard link to a device", []entry{{name: "sda", kind: '4', major: 8}, {name: "h", kind: '1', link: "sda"}}, false},
		{"device 0/0", []entry{{name: "w", kind: '3'}}, true},
		{"whiteout of ..", []entry{{name: ".wh..."}}, true},
		{"whiteout of .", []entry{{name: "a/.wh.."}}, true},
		{"whiteout of nothing", []entry{{name: "a/.wh."}}, true},
		{"whiteout as a directory", []entry{{name: "a/.wh.b/c"}}, true},
		{"whiteout that is a directory", []entry{{name: ".wh.b/"}}, true},
		{"whiteout that is a link", []entry{{name: ".wh.b", kind: '2', link: "CANARY"}}, true},
		{"AUFS bookkeeping", []entry{{name: ".wh..wh.aufs"}, {name: ".wh..wh.plnk"}}, false},
		{"trusted.overlay", []entry{{name: "d/", pax: xattr("trusted.overlay.redirect", "/etc")}}, true},
		{"user.overlay", []entry{{name: "d/", pax: xattr("user.overlay.redirect", "/etc")}}, false},
		{"file capability", []entry{{name: "f", pax: xattr("security.capability", "\x01\x00\x00\x02\xff\xff\xff\xff")}}, false},
		{"negative owner", []entry{{name: "f", uid: -1, pax: map[string]string{"comment": "x"}}}, true},
		{"too many entries", many, true},
		{"too many implied directories", implied, true},
		{"too large", []entry{{name: "f", body: strings.Repeat("x", 1<<20+1)}}, true},
		{"too deep", []entry{{name: deep}}, true},
		{"long name", []entry{{name: strings.Repeat("n", maxComponent+1)}}, true},
		{"long path", []entry{{name: strings.Repeat(strings.Repeat("n", 200)+"/", 21) + "f"}}, true},
		{"duplicate", []entry{{name: "f", body: "1"}, {name: "f/"}, {name: "f/g"}, {name: "f", body: "2"}}, false},
		{"file as a parent", []entry{{name: "f"}, {name: "f/g"}}, true},
		{"FIFO as a parent", []entry{{name: "f", kind: '6'}, {name: "f/g"}}, true},
		{"unknown type", []entry{{name: "f", kind: 'Z'}}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir, check := canary(t)
			entries := make([]entry, len(c.entries))
			for i, e := range c.entries {
				e.name = strings.ReplaceAll(e.name, "CANARY", dir)
				e.link = strings.ReplaceAll(e.link, "CANARY", strings.TrimSuffix(dir, "/"))
				if strings.HasPrefix(e.link, "..") {
					e.link = strings.ReplaceAll(e.link, "//", "/")
				}
				entries[i] = e
			}
			dirs, results, err := stack(t, hostileTar(t, entries))
			check()
			if c.refused {
				if !errors.Is(err, ErrHostile) && !errors.Is(err, tar.ErrHeader) {
					t.Errorf("not refused: %v", err)
				}
				t.Logf("%2d  %-45s refused: %.200s", i+1, c.what, strings.ReplaceAll(fmt.Sprint(err), dir, "HOST"))
				return
			}
			t.Logf("%2d  %-45s contained", i+1, c.what)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			noTraps(t, dirs[0])
			if c.what == "file capability" && results[0].Caps != 1 || c.what == "device" && results[0].Devices != 2 ||
				c.what == "hard link to a device" && results[0].Devices != 2 || c.what == "user.overlay" && results[0].Xattrs != 1 {
				t.Errorf("counted %+v", results[0])
			}
		})
	}
}

// TestHostileAcrossLayers: what a layer alone cannot show is refused when it is
// settled on those below.
func TestHostileAcrossLayers(t *testing.T) {
	base := []entry{{name: "d/"}, {name: "d/f", body: "f"}, {name: "out", kind: '2', link: "../../../../../../etc"}, {name: "loop", kind: '2', link: "loop"}}
	for what, upper := range map[string][]entry{
		"hard link to a directory below":      {{name: "h", kind: '1', link: "d"}},
		"hard link out through a link below":  {{name: "h", kind: '1', link: "out/passwd"}},
		"hard link through a loop below":      {{name: "h", kind: '1', link: "loop/f"}},
		"hard link to what this layer hides":  {{name: "d/"}, {name: "d/.wh..wh..opq"}, {name: "h", kind: '1', link: "d/f"}},
		"hard link to a directory by its own": {{name: "d/"}, {name: "d/x", kind: '1', link: "d/x/y"}},
	} {
		t.Run(what, func(t *testing.T) {
			_, check := canary(t)
			_, _, err := stack(t, tarOf(t, base...), tarOf(t, upper...))
			check()
			if !errors.Is(err, ErrHostile) {
				t.Errorf("not refused: %v", err)
			}
		})
	}
}

// hostileTar writes what archive/tar would not.
func hostileTar(t *testing.T, entries []entry) []byte {
	t.Helper()
	if len(entries) == 1 && entries[0].uid < 0 {
		raw := tarOf(t, entry{name: "f"})
		copy(raw[108:116], "\xff\xff\xff\xff\xff\xff\xff\xff") // base 256, negative
		sum := 0
		for i, b := range raw[:512] {
			if i >= 148 && i < 156 {
				b = ' '
			}
			sum += int(b)
		}
		copy(raw[148:156], fmt.Sprintf("%06o\x00 ", sum))
		return raw
	}
	return tarOf(t, entries...)
}

// noTraps fails on anything in a layer that the kernel would act upon: device
// nodes but whiteouts, attributes outside user.*, overlayfs's own but opaque=y.
func noTraps(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeDevice != 0 && !isWhiteout(info) {
			t.Errorf("%s is a device", path)
		}
		list := make([]byte, 4096)
		n, err := unix.Llistxattr(path, list)
		if err != nil {
			return err
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
			if name != "" && (!strings.HasPrefix(name, "user.") || strings.HasPrefix(name, userOverlay) && name != opaqueAttr) {
				t.Errorf("%s carries %s", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNUL: archive/tar refuses NUL in a PAX path; cleanName does so as well.
func TestNUL(t *testing.T) {
	for _, name := range []string{"a\x00b", "a/\x00", "\x00"} {
		if clean, err := cleanName(name); !errors.Is(err, ErrHostile) {
			t.Errorf("cleanName(%q) = %q, %v", name, clean, err)
		}
	}
}

func TestFaithful(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners other than one's own")
	}
	sparse := strings.Repeat("\x00", 300<<10) + "end" + strings.Repeat("\x00", 200<<10)
	long := strings.Repeat("long/", 60) + strings.Repeat("n", 200)
	dirs, results, err := stack(t, tarOf(t,
		entry{name: "./", mode: 0o750},
		entry{name: "bin/", mode: 0o1777, uid: 5, gid: 6},
		entry{name: "bin/su", body: "su", mode: 0o6755, uid: 7, gid: 8},
		entry{name: "bin/hard", kind: '1', link: "bin/su"},
		entry{name: "bin/soft", kind: '2', link: "/etc/../su", uid: 9, gid: 10},
		entry{name: "pipe", kind: '6', mode: 0o620},
		entry{name: "attr", pax: map[string]string{paxXattr + "user.note": "kept"}},
		entry{name: "sparse", body: sparse},
		entry{name: "ünï", body: "x"}, entry{name: long, body: "deep"},
		entry{name: "ro/", mode: 0o555}, entry{name: "ro/f"},
	))
	if err != nil {
		t.Fatal(err)
	}
	dir := dirs[0]
	for path, want := range map[string]struct {
		mode     uint32
		uid, gid uint32
	}{
		".": {unix.S_IFDIR | 0o750, 0, 0}, "bin": {unix.S_IFDIR | 0o1777, 5, 6}, "bin/su": {unix.S_IFREG | 0o6755, 7, 8},
		"bin/soft": {unix.S_IFLNK | 0o777, 9, 10}, "pipe": {unix.S_IFIFO | 0o620, 0, 0}, "ro": {unix.S_IFDIR | 0o555, 0, 0},
	} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, path), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode != want.mode || st.Uid != want.uid || st.Gid != want.gid || st.Mtim.Sec != epoch.Unix() {
			t.Errorf("%s: mode %o owner %d:%d time %d", path, st.Mode, st.Uid, st.Gid, st.Mtim.Sec)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "bin/soft")); err != nil || target != "/etc/../su" {
		t.Errorf("link %q, %v", target, err)
	}
	var su, hard, holes unix.Stat_t
	if err := errors.Join(unix.Lstat(dir+"/bin/su", &su), unix.Lstat(dir+"/bin/hard", &hard), unix.Lstat(dir+"/sparse", &holes)); err != nil {
		t.Fatal(err)
	}
	if su.Ino != hard.Ino {
		t.Error("the hard link is a copy")
	}
	if raw, err := os.ReadFile(dir + "/sparse"); err != nil || string(raw) != sparse {
		t.Errorf("sparse file: wrong content, %v", err)
	}
	if holes.Blocks*512 >= 400<<10 {
		t.Errorf("the sparse file takes %d bytes", holes.Blocks*512)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, long)); err != nil || string(raw) != "deep" {
		t.Errorf("long name: %v", err)
	}
	value := make([]byte, 10)
	if n, err := unix.Lgetxattr(dir+"/attr", "user.note", value); err != nil || string(value[:n]) != "kept" {
		t.Errorf("user.note: %q, %v", value[:max(n, 0)], err)
	}
	if !results[0].Relative {
		t.Error("a layer with implied directories must be settled")
	}
}

func TestTruncatedAndCanceled(t *testing.T) {
	raw := tarOf(t, entry{name: "f", body: strings.Repeat("x", 100_000)})
	if _, err := Layer(t.Context(), t.TempDir(), bytes.NewReader(raw[:50_000]), testLimits); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := Layer(ctx, t.TempDir(), bytes.NewReader(raw), testLimits); !errors.Is(err, stop) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := Layer(t.Context(), t.TempDir(), bytes.NewReader(raw), Limits{}); !errors.Is(err, ErrHostile) {
		t.Errorf("zero limits allow something: %v", err)
	}
}
