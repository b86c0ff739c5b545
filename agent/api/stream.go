package api

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// StreamProtocol is the Upgrade token of the calls that end in a stream:
//
//	client                              agent
//	  | POST …, Upgrade: consentry-stream |
//	  | --------------------------------> |
//	  | 101 Switching Protocols           |   (or an Error with its status)
//	  | <-------------------------------- |
//	  | frames: in, close, size, signal   |
//	  | --------------------------------> |
//	  | frames: progress, started, out,   |
//	  |   err, prompt, settled            |
//	  | <-------------------------------- |
//	  | exit or error, then end           |
//	  | <-------------------------------- |
//
// A frame is one byte of FrameType, four bytes of length (big endian, at most
// MaxFrame) and the payload.
const StreamProtocol = "consentry-stream"

// MaxFrame is the longest payload, in bytes.
const MaxFrame = 64 << 10

// FrameType says what a frame carries.
type FrameType byte

// The frames a client sends.
const (
	FrameIn     FrameType = 'i' // bytes for the app's stdin
	FrameClose  FrameType = 'c' // end of stdin
	FrameSize   FrameType = 'r' // JSON sandbox.WindowSize
	FrameSignal FrameType = 's' // JSON KillRequest
	FrameDetach FrameType = 'd' // the client leaves, the app goes on
)

// The frames the agent sends. FrameExit and FrameError are last words.
const (
	FrameProgress FrameType = 'P' // JSON Progress
	FrameStarted  FrameType = 'S' // JSON Run
	FrameOut      FrameType = 'o' // bytes of stdout
	FrameErr      FrameType = 'e' // bytes of stderr
	FramePrompt   FrameType = 'Q' // JSON Prompt
	FrameSettled  FrameType = 'q' // JSON Prompt that needs no answer any more
	FrameNotice   FrameType = 'n' // text for the user, one line of ours
	FrameExit     FrameType = 'X' // JSON sandbox.Exit
	FrameError    FrameType = 'E' // JSON Error
)

const frameHeader = 5

// WriteFrame writes one frame in one Write.
func WriteFrame(w io.Writer, kind FrameType, payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("frame of %d bytes, more than %d", len(payload), MaxFrame)
	}
	frame := make([]byte, frameHeader, frameHeader+len(payload))
	frame[0] = byte(kind)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload))) //nolint:gosec // bounded above
	_, err := w.Write(append(frame, payload...))
	return err
}

// WriteJSONFrame writes v as the payload.
func WriteJSONFrame(w io.Writer, kind FrameType, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return WriteFrame(w, kind, payload)
}

// ReadFrame reads one frame into buf, which must hold MaxFrame bytes; the
// payload is a part of it. io.EOF means an end between frames.
func ReadFrame(r io.Reader, buf []byte) (FrameType, []byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length > MaxFrame || int(length) > len(buf) {
		return 0, nil, fmt.Errorf("frame of %d bytes announced, more than %d", length, MaxFrame)
	}
	payload := buf[:length]
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("frame: %w", io.ErrUnexpectedEOF)
	}
	return FrameType(header[0]), payload, nil
}
