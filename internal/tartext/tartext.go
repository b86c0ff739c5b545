// Package tartext writes tar archives from lines of text, so that a fuzzer that
// changes the text changes names, links and kinds, not checksums.
package tartext

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	maxLines = 64
	maxBody  = 1 << 12 // bytes
)

// Archive has an entry for each line "KIND MODE NAME [TEXT]", separated by tabs:
// KIND is tar's type flag, MODE octal, TEXT the content of a file, the target of a
// link. What no archive can hold is left out.
func Archive(text string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		if n++; n > maxLines {
			break
		}
		h, body, ok := entry(line)
		if !ok || w.WriteHeader(&h) != nil {
			continue
		}
		if _, err := w.Write([]byte(body)); err != nil {
			panic(fmt.Sprintf("a body of its own size: %v", err))
		}
	}
	if err := w.Close(); err != nil {
		panic(fmt.Sprintf("end of the archive: %v", err))
	}
	return buf.Bytes()
}

func entry(line string) (h tar.Header, body string, ok bool) {
	fields := strings.SplitN(line, "\t", 4) //nolint:mnd // as said above
	if len(fields) < 3 || len(fields[0]) != 1 {
		return h, "", false
	}
	mode, err := strconv.ParseInt(fields[1], 8, 64)
	if err != nil || mode < 0 || mode > 0o7777 {
		return h, "", false
	}
	h = tar.Header{Typeflag: fields[0][0], Mode: mode, Name: fields[2], ModTime: time.Unix(1, 0)}
	if len(fields) == 4 {
		body = fields[3]
	}
	if h.Typeflag != tar.TypeReg {
		h.Linkname, body = body, ""
	}
	body = body[:min(len(body), maxBody)]
	h.Size = int64(len(body))
	return h, body, true
}
