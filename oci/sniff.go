package oci

import (
	"bytes"
)

// sniffLen covers the magic numbers below, the last of them in a tar header.
const sniffLen = 512

// compression of a layer or archive, by its first bytes: media types lie.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
)

func compressionOf(head []byte) compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return zstandard // a skippable frame first
	}
	return plain
}

// magics are the things people pass by mistake.
var magics = []struct {
	at    int
	magic string
	what  string
}{
	{0, "\x7fELF", "an ELF executable"},
	{0, "PK\x03\x04", "a zip archive"},
	{0, "PK\x05\x06", "an empty zip archive"},
	{0, "\x00asm\x0d\x00\x01\x00", "a WebAssembly component, not a core module"},
	{0, "\x00asm", "a WebAssembly module, not an image"},
	{0, "MZ", "a Windows executable"},
	{0, "\xcf\xfa\xed\xfe", "a macOS executable"},
	{0, "\xca\xfe\xba\xbe", "a macOS executable or a Java class"},
	{0, "#!", "a script"},
	{0, "\xfd7zXZ\x00", "an xz-compressed file"},
	{0, "BZh", "a bzip2-compressed file"},
	{0, "7z\xbc\xaf", "a 7z archive"},
	{0, "QFI\xfb", "a QEMU disk image"},
	{0, "hsqs", "a squashfs image"},
	{0, "!<arch>\n", "a Debian package or ar archive"},
	{0, "\xed\xab\xee\xdb", "an RPM package"},
	{0, "{", "a JSON text"},
}

// looksLike names the file that starts with head; "" for a tar archive.
func looksLike(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	for _, m := range magics {
		if len(head) > m.at && bytes.HasPrefix(head[m.at:], []byte(m.magic)) {
			return m.what
		}
	}
	if isTar(head) {
		return ""
	}
	if compressionOf(head) != plain {
		return "a compressed file that is no tar archive"
	}
	return "a file of unknown type"
}

// isTar knows a tar header by its magic, or, for archives from before POSIX,
// by its checksum.
func isTar(head []byte) bool {
	if len(head) < sniffLen {
		return false
	}
	if bytes.HasPrefix(head[257:], []byte("ustar")) {
		return true
	}
	sum, want := 0, 0
	for i, b := range head[:sniffLen] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	for _, b := range bytes.Trim(head[148:156], " \x00") {
		if b < '0' || b > '7' {
			return false
		}
		want = want*8 + int(b-'0')
	}
	return want != 0 && sum == want
}
