package guestwire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/consentry/consentry/sandbox"
)

// MaxMessage bounds the JSON of one message, in bytes: a Spec with a long
// environment is the largest there is.
const MaxMessage = 1 << 20

const headerLen = 4

// message opens a stream, or answers the one that did.
type message struct {
	Verb   string          `json:"verb,omitempty"`
	Answer bool            `json:"answer,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Code   string          `json:"code,omitempty"`
	Detail string          `json:"detail,omitempty"`
}

func writeMessage(w io.Writer, m message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if len(body) > MaxMessage {
		return fmt.Errorf("%w: message of %d bytes, more than %d", sandbox.ErrInvalid, len(body), MaxMessage)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, headerLen+len(body)), uint32(len(body))) //nolint:gosec // bounded above
	_, err = w.Write(append(frame, body...))
	return err
}

func readMessage(r io.Reader) (m message, err error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return m, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length > MaxMessage {
		return m, fmt.Errorf("%w: message of %d bytes announced, more than %d", sandbox.ErrInvalid, length, MaxMessage)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return m, fmt.Errorf("message body: %w", err)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("%w: message: %w", sandbox.ErrInvalid, err)
	}
	return m, nil
}

// decode reads the body of a message.
func decode(body json.RawMessage, into any) error {
	if into == nil || len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	return nil
}
