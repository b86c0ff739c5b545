package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func TestFrames(t *testing.T) {
	var wire bytes.Buffer
	full := bytes.Repeat([]byte("x"), MaxFrame)
	for _, payload := range [][]byte{nil, []byte("a"), full} {
		if err := WriteFrame(&wire, FrameOut, payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFrame(io.Discard, FrameOut, append(full, 'x')); err == nil {
		t.Error("a frame longer than MaxFrame was written")
	}
	buf := make([]byte, MaxFrame)
	for _, want := range []int{0, 1, MaxFrame} {
		kind, payload, err := ReadFrame(&wire, buf)
		if err != nil || kind != FrameOut || len(payload) != want {
			t.Fatalf("%q, %d bytes, %v; want %d", kind, len(payload), err, want)
		}
	}
	if _, _, err := ReadFrame(&wire, buf); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("between frames: %v, want io.EOF", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("o\x00\x00\x00\x01a"))
	f.Add([]byte("X\x00\x00\x00\x0a{\"code\":0}E\x00"))
	f.Add([]byte("o\x00\x01\x00\x01"))
	f.Add([]byte("o\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := bytes.NewReader(wire)
		buf := make([]byte, MaxFrame)
		var again bytes.Buffer
		for {
			before := r.Len()
			kind, payload, err := ReadFrame(r, buf)
			if err != nil {
				if errors.Is(err, io.EOF) && before != 0 {
					t.Fatalf("io.EOF with %d bytes left", before)
				}
				break
			}
			if announced := binary.BigEndian.Uint32(wire[len(wire)-before+1:]); int(announced) != len(payload) {
				t.Fatalf("%d bytes announced, %d read", announced, len(payload))
			}
			if err := WriteFrame(&again, kind, payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(wire, again.Bytes()) {
			t.Fatal("what was read is not what was sent")
		}
	})
}
