package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"strings"
	"testing"
)

// namesTar holds empty files, and directories where a name ends in "/".
func namesTar(t *testing.T, paths ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, path := range paths {
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestCheckNames(t *testing.T) {
	for _, c := range []struct {
		what       string
		paths      []string
		apfs, ntfs string // what the error names, "" for none
	}{
		{what: "plain", paths: []string{"usr/", "usr/bin/", "usr/bin/sh", "usr/bin/sh"}},
		{what: "case", paths: []string{"perl/Sys/", "perl/Sys/Hostname.pm", "perl/sys/ioctl.ph"}, apfs: "perl/sys", ntfs: "perl/sys"},
		{what: "case of a parent that is only implied", paths: []string{"A/x", "a/y"}, apfs: `"A" and "a"`, ntfs: `"A" and "a"`},
		{what: "same name in other folders", paths: []string{"a/x", "b/X"}},
		{what: "composed and decomposed", paths: []string{"caf\u00e9", "cafe\u0301"}, apfs: "one name"},
		{what: "case beyond ASCII", paths: []string{"Ünï", "ünÏ"}, apfs: "one name", ntfs: "one name"},
		{what: "Kelvin", paths: []string{"k", "\u212a"}, apfs: "one name"},
		{what: "sharp s", paths: []string{"straße", "STRASSE"}, apfs: "one name"},
		{what: "whiteouts are no files", paths: []string{"Sys", ".wh.sys", "d/.wh..wh..opq", "D.wh"}},
		{what: "colon", paths: []string{"var/lib/dpkg/info/libc6:amd64.list"}, ntfs: "libc6:amd64.list"},
		{what: "backslash", paths: []string{`a\b`}, ntfs: "is no name"},
		{what: "control character", paths: []string{"a\x01"}, ntfs: "is no name"},
		{what: "trailing dot", paths: []string{"etc/x./f"}, ntfs: `"etc/x." is no name`},
		{what: "trailing space", paths: []string{"x "}, ntfs: "is no name"},
		{what: "device", paths: []string{"usr/include/aux.h"}, ntfs: "aux.h"},
		{what: "device with spaces", paths: []string{"Nul .tar.gz"}, ntfs: "is no name"},
		{what: "port", paths: []string{"COM1"}, ntfs: "is no name"},
		{what: "port with a superscript", paths: []string{"lpt².txt"}, ntfs: "is no name"},
		{what: "not quite devices", paths: []string{"console", "COM", "COM10", "xcon", "nul-1", "com1-a"}},
		{what: "hidden files", paths: []string{".a", "..b", "...c"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			raw := namesTar(t, c.paths...)
			for _, on := range []struct {
				what   string
				naming Naming
				want   string
			}{{"APFS", APFS(), c.apfs}, {"NTFS", NTFS(), c.ntfs}} {
				err := CheckNames(t.Context(), bytes.NewReader(raw), on.naming, DefaultLimits)
				if on.want == "" && err != nil || on.want != "" && (!errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), on.want)) {
					t.Errorf("%s: got %v, want %q", on.what, err, on.want)
				}
			}
		})
	}
}

func TestCheckNamesIsBounded(t *testing.T) {
	raw := namesTar(t, "a/b/c/d/e/f")
	if err := CheckNames(t.Context(), bytes.NewReader(raw), APFS(), Limits{Bytes: 1 << 20, Entries: 5}); !errors.Is(err, ErrHostile) {
		t.Errorf("six names where five are allowed: %v", err)
	}
	if err := CheckNames(t.Context(), bytes.NewReader(namesTar(t, "../a")), NTFS(), DefaultLimits); !errors.Is(err, ErrHostile) {
		t.Errorf("a name that climbs: %v", err)
	}
}
