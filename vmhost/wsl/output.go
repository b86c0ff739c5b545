package wsl

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode/utf16"
)

// text decodes what a program of Windows printed: UTF-16 with or without a mark
// (wsl.exe that does not know WSL_UTF8, and its earliest errors always), or
// bytes as they are.
func text(raw []byte) string {
	if !isUTF16(raw) {
		return clean(strings.ToValidUTF8(string(raw), "?"))
	}
	raw = bytes.TrimPrefix(raw, []byte{0xff, 0xfe})
	units := make([]uint16, len(raw)/2) //nolint:mnd // two bytes each
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return clean(string(utf16.Decode(units)))
}

// isUTF16 says whether bytes are UTF-16: by their mark, or as every other of the
// first ones is zero, as in words of Latin letters with their spaces and ends of
// lines.
func isUTF16(raw []byte) bool {
	if bytes.HasPrefix(raw, []byte{0xff, 0xfe}) {
		return true
	}
	const look = 64
	head := raw[:min(len(raw), look)]
	zeros := 0
	for i := 1; i < len(head); i += 2 {
		if head[i] == 0 {
			zeros++
		}
	}
	return zeros > len(head)/8 //nolint:mnd // a quarter of the characters
}

// clean ends lines as we do, and takes out what a terminal would act on.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

// versions are what wsl.exe --version says.
type versions struct{ wsl, kernel version }

// version is a dotted number; what it has not is zero.
type version [3]int

func (v version) less(other version) bool {
	for i := range v {
		if v[i] != other[i] {
			return v[i] < other[i]
		}
	}
	return false
}

var dotted = regexp.MustCompile(`(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?`)

// parseVersions reads the output of --version. Its words are in the user's
// language; the order of its lines is WSL, kernel, and then others.
func parseVersions(out string) (v versions, ok bool) {
	var found []version
	for line := range strings.Lines(out) {
		m := dotted.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var one version
		for i := range one {
			for _, digit := range m[i+1] {
				one[i] = one[i]*10 + int(digit-'0') //nolint:mnd // decimal
			}
		}
		found = append(found, one)
	}
	const wanted = 2
	if len(found) < wanted {
		return v, false
	}
	return versions{found[0], found[1]}, true
}

// parseNames reads the output of --list --quiet: a name in each line.
func parseNames(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if name := strings.TrimSpace(line); name != "" {
			all = append(all, name)
		}
	}
	return all
}
