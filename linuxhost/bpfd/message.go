package bpfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The exchange, over a unix socket that keeps messages apart (SOCK_SEQPACKET).
// Each request has an answer, and a caller may send several.
//
//	agent or launcher                      consentry-bpf
//	  | fence + the cgroup's directory       | whose cgroup? is it empty?
//	  | -----------------------------------> | loads and pins cgroup programs
//	  | done + 4 maps                        |
//	  | <----------------------------------- |
//	  | (proves a denial)                    |
//	  | judge                                | loads and pins LSM programs
//	  | -----------------------------------> |
//	  | done + 7 maps, or why not            |
//	  | <----------------------------------- |
//	  | (proves a denial, and rules by maps) |
//	  | status + the cgroup's directory      | counts what is pinned
//	  | -----------------------------------> |
//	  | done, have, want                     |
//	  | <----------------------------------- |
//	  | lower                                | nothing may run below the cgroup
//	  | -----------------------------------> |
//
// A hang-up of who asked for a fence is a lower that waits for the cgroup to be
// empty.

// Version is that of the messages. Both ends are installed together.
const Version = 1

// Verbs of a request.
const (
	verbFence uint16 = iota + 1
	verbJudge
	verbStatus
	verbLower
)

var magic = [4]byte{'C', 'B', 'P', 'F'}

// requestLen is the length of every request: magic, version, verb.
const requestLen = 8

// Status of an answer.
const (
	statusDone uint16 = iota + 1
	statusNotSupported
	statusRefused
)

const (
	answerLen = 12  // magic, version, status, have, want; then text
	maxText   = 512 // bytes of an answer's text
)

var errMessage = errors.New("message of consentry-bpf")

func encodeRequest(verb uint16) []byte {
	b := append([]byte{}, magic[:]...)
	b = binary.LittleEndian.AppendUint16(b, Version)
	return binary.LittleEndian.AppendUint16(b, verb)
}

// decodeRequest returns the verb, which is one of those above.
func decodeRequest(b []byte) (uint16, error) {
	if len(b) != requestLen || [4]byte(b) != magic {
		return 0, fmt.Errorf("%w: %d bytes that are no request", errMessage, len(b))
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != Version {
		return 0, fmt.Errorf("%w: version %d, this is %d: install consentry and consentry-bpf of one release", errMessage, v, Version)
	}
	verb := binary.LittleEndian.Uint16(b[6:])
	if verb < verbFence || verb > verbLower {
		return 0, fmt.Errorf("%w: nothing is asked by %d", errMessage, verb)
	}
	return verb, nil
}

// answer is what comes back.
type answer struct {
	status     uint16
	have, want uint16 // programs that are attached, of how many
	text       string // why not
}

func (a answer) encode() []byte {
	b := append([]byte{}, magic[:]...)
	for _, n := range []uint16{Version, a.status, a.have, a.want} {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return append(b, clean(a.text)...)
}

// clean bounds a text and makes it one line.
func clean(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\n", "; "), "?")
	for len(text) > maxText {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

func decodeAnswer(b []byte) (a answer, err error) {
	if len(b) < answerLen || len(b) > answerLen+maxText || [4]byte(b) != magic {
		return a, fmt.Errorf("%w: %d bytes that are no answer", errMessage, len(b))
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != Version {
		return a, fmt.Errorf("%w: version %d, this is %d: install consentry and consentry-bpf of one release", errMessage, v, Version)
	}
	a = answer{
		status: binary.LittleEndian.Uint16(b[6:]), have: binary.LittleEndian.Uint16(b[8:]), want: binary.LittleEndian.Uint16(b[10:]),
		text: string(b[answerLen:]),
	}
	if a.status < statusDone || a.status > statusRefused {
		return a, fmt.Errorf("%w: status %d", errMessage, a.status)
	}
	if a.text != clean(a.text) {
		return a, fmt.Errorf("%w: a text that it never writes", errMessage)
	}
	return a, nil
}
