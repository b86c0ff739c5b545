package oci

import (
	"io"
)

// stages are a layer on its way from the origin to the disk:
//
//	body → hash, count ⇉ inflate ⇉ hash, count ⇉ tar
//
// ⇉ is a goroutine's edge with a bounded buffer, see ahead.
type stages struct {
	blob, diff          *summed
	raw                 io.Closer // the decompressor
	came, grew          *ahead
	tar                 *ahead // to be read to its end
	download, unpacking *meter
}

// stream begins to read body; close must follow.
func (l *layer) stream(body io.Reader) *stages {
	short := l.id().Hex[:12]
	st := &stages{
		download:  &meter{report: l.pull.report, phase: "download", item: short, total: l.desc().Size},
		unpacking: &meter{report: l.pull.report, phase: "unpack", item: short},
	}
	st.blob = newSummed(&exactly{r: metered{body, st.download}, left: l.desc().Size})
	st.came = readAhead(st.blob)
	inflating := &inflating{from: st.came}
	st.raw = inflating
	st.grew = readAhead(inflating)
	st.diff = newSummed(&ratioed{r: metered{st.grew, st.unpacking}, from: st.blob})
	st.tar = readAhead(st.diff)
	return st
}

// drain reads what is left behind the compressed stream.
func (st *stages) drain() error {
	_, err := io.Copy(io.Discard, st.came)
	return err
}

// close ends the stages, from the source on, so that none waits for another.
func (st *stages) close() error {
	for _, a := range []*ahead{st.came, st.grew, st.tar} {
		a.close()
	}
	return st.raw.Close()
}

func (st *stages) finish() {
	st.download.finish()
	st.unpacking.finish()
}

// inflating is a decompressor that looks at its stream when it is first read.
type inflating struct {
	from io.Reader
	to   io.ReadCloser
}

func (i *inflating) Read(p []byte) (int, error) {
	if i.to == nil {
		to, _, err := decompress(i.from)
		if err != nil {
			return 0, err
		}
		i.to = to
	}
	return i.to.Read(p)
}

func (i *inflating) Close() error {
	if i.to == nil {
		return nil
	}
	return i.to.Close()
}
