package bpfd

import (
	"bytes"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	for verb := verbFence; verb <= verbLower; verb++ {
		if got, err := decodeRequest(encodeRequest(verb)); err != nil || got != verb {
			t.Errorf("%d is %d, %v", verb, got, err)
		}
	}
	good := string(encodeRequest(verbFence))
	for name, text := range map[string]string{
		"empty": "", "short": good[:7], "long": good + "x", "magic": "X" + good[1:],
		"older": good[:4] + "\x00" + good[5:], "newer": good[:4] + "\x02" + good[5:],
		"no verb": good[:6] + "\x00\x00", "unknown verb": good[:6] + "\x05\x00",
	} {
		if verb, err := decodeRequest([]byte(text)); err == nil {
			t.Errorf("%s asks for %d", name, verb)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, a := range []answer{
		{status: statusDone}, {status: statusDone, have: 9, want: 51}, {status: statusRefused, text: "not yours"},
		{status: statusNotSupported, text: strings.Repeat("ä", maxText/2)},
	} {
		if got, err := decodeAnswer(a.encode()); err != nil || got != a {
			t.Errorf("%+v is %+v, %v", a, got, err)
		}
	}
	long := answer{status: statusRefused, text: "a\nb" + strings.Repeat("ä", maxText)}
	got, err := decodeAnswer(long.encode())
	if err != nil || !strings.HasPrefix(got.text, "a; bä") || len(got.text) > maxText || strings.Contains(got.text, "�") {
		t.Errorf("%+v, %v", got, err)
	}
	good := string(answer{status: statusDone, text: "x"}.encode())
	for name, text := range map[string]string{
		"empty": "", "short": good[:11], "long": good + strings.Repeat("x", maxText), "version": good[:4] + "\x07" + good[5:],
		"status": good[:6] + "\x09" + good[7:], "line": good + "\n", "bytes": good + "\xff",
	} {
		if a, err := decodeAnswer([]byte(text)); err == nil {
			t.Errorf("%s is %+v", name, a)
		}
	}
}

// FuzzRequest: what is taken is what the other end would have written.
func FuzzRequest(f *testing.F) {
	f.Add(encodeRequest(verbFence))
	f.Add(encodeRequest(verbLower + 1))
	f.Add([]byte("CBPF\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if verb, err := decodeRequest(b); err == nil && !bytes.Equal(encodeRequest(verb), b) {
			t.Errorf("%q was taken as %d", b, verb)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(answer{status: statusDone, have: 1, want: 2}.encode())
	f.Add(answer{status: statusRefused, text: "why"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := decodeAnswer(b); err == nil && !bytes.Equal(a.encode(), b) {
			t.Errorf("%q was taken as %+v", b, a)
		}
	})
}
