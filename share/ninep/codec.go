package ninep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxMessage bounds a message either way, in bytes: 128 KiB of data, what Linux
// asks for, and the header of a read or write.
const MaxMessage = 128<<10 + ioHeader

const (
	headerLen = 7  // length, type, tag
	ioHeader  = 24 // P9_IOHDRSZ of Linux
	maxName   = 255
	maxWalk   = 16 // P9_MAXWELEM
	noTag     = 0xffff
	noFile    = 0xffffffff
)

// Types of requests; an answer's is one more.
const (
	tLerror      = 6
	tStatFS      = 8
	tLopen       = 12
	tLcreate     = 14
	tSymlink     = 16
	tMknod       = 18
	tReadlink    = 22
	tGetAttr     = 24
	tSetAttr     = 26
	tXattrWalk   = 30
	tReaddir     = 40
	tFsync       = 50
	tLock        = 52
	tGetLock     = 54
	tLink        = 70
	tMkdir       = 72
	tRenameAt    = 74
	tUnlinkAt    = 76
	tVersion     = 100
	tAttach      = 104
	tFlush       = 108
	tWalk        = 110
	tRead        = 116
	tWrite       = 118
	tClunk       = 120
	tRemove      = 122
	answerOffset = 1
)

// request is one message of the guest.
type request struct {
	kind byte
	tag  uint16
	in   reader
	// answered: the user has said yes to what this request touches first.
	answered bool
}

// errMessage ends a connection: who sends it does not speak the protocol.
var errMessage = errors.New("9P: malformed message")

// readRequest reads one message of at most limit bytes.
func readRequest(from io.Reader, limit uint32) (*request, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length < headerLen || length > limit {
		return nil, fmt.Errorf("%w: %d bytes announced, %d to %d are right", errMessage, length, headerLen, limit)
	}
	body := make([]byte, length-headerLen)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil, err
	}
	return &request{kind: header[4], tag: binary.LittleEndian.Uint16(header[5:]), in: reader{rest: body}}, nil
}

// reader takes numbers and words out of a message. What is not there is zero,
// and said by done.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.short, r.rest = true, nil
		return make([]byte, min(n, 8)) //nolint:mnd // the longest number
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8() byte    { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) } //nolint:mnd // bytes
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) } //nolint:mnd // bytes
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) } //nolint:mnd // bytes

func (r *reader) word() string {
	n := int(r.u16())
	if n > len(r.rest) {
		r.short, r.rest = true, nil
		return ""
	}
	return string(r.take(n))
}

// data is the rest, as a length says it.
func (r *reader) data() []byte {
	n := r.u32()
	if uint64(n) > uint64(len(r.rest)) {
		r.short, r.rest = true, nil
		return nil
	}
	return r.take(int(n))
}

// done says whether the message had all that was taken out of it, and no more.
func (r *reader) done() error {
	if r.short || len(r.rest) > 0 {
		return errMessage
	}
	return nil
}

// writer makes an answer.
type writer struct{ b []byte }

func newAnswer(kind byte, tag uint16) *writer {
	w := &writer{b: make([]byte, headerLen, 64)} //nolint:mnd // enough for most
	w.b[4] = kind
	binary.LittleEndian.PutUint16(w.b[5:], tag)
	return w
}

func (w *writer) u8(n byte)    { w.b = append(w.b, n) }
func (w *writer) u16(n uint16) { w.b = binary.LittleEndian.AppendUint16(w.b, n) }
func (w *writer) u32(n uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, n) }
func (w *writer) u64(n uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, n) }

func (w *writer) word(s string) {
	w.u16(uint16(len(s))) //nolint:gosec // names and links of files: at most 4096 bytes
	w.b = append(w.b, s...)
}

func (w *writer) id(q qid) {
	w.u8(q.kind)
	w.u32(q.version)
	w.u64(q.path)
}

// bytes is the message, its length set.
func (w *writer) bytes() []byte {
	binary.LittleEndian.PutUint32(w.b, uint32(len(w.b))) //nolint:gosec // bounded by MaxMessage
	return w.b
}

// qid is how the protocol tells files apart.
type qid struct {
	kind    byte
	version uint32
	path    uint64
}

// Kinds of a qid.
const (
	qidFolder = 0x80
	qidLink   = 0x02
	qidFile   = 0x00
)

const qidLen = 13

// checkName refuses what is not one part of a path.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > maxName || strings.ContainsAny(name, "/\x00") {
		return errNameForm
	}
	return checkSystemName(name)
}
