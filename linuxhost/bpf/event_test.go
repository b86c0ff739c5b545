package bpf

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

func raw(t testing.TB, w wireEvent) []byte {
	t.Helper()
	out := make([]byte, EventSize)
	if n, err := binary.Encode(out, binary.LittleEndian, w); err != nil || n != EventSize {
		t.Fatalf("an event has %d bytes: %v", n, err)
	}
	return out
}

func named(hook Hook, wanted uint32, name string) wireEvent {
	w := wireEvent{Hook: uint16(hook), Wanted: wanted}
	copy(w.Name[:], name)
	return w
}

func TestDecodeEvent(t *testing.T) {
	v4 := wireEvent{Hook: uint16(HookCgroupConnect), Denied: 1, Family: familyV4, Port: 443, Address: [16]byte{10, 0, 2, 2}, Time: 7, PID: 9, Cgroup: 11}
	copy(v4.Comm[:], "curl\x1b[31m")
	got, err := DecodeEvent(raw(t, v4))
	want := Event{Time: 7 * time.Nanosecond, Cgroup: 11, PID: 9, Comm: "curl?[31m", Hook: HookCgroupConnect, Denied: true, Detail: "10.0.2.2:443"}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for detail, w := range map[string]wireEvent{
		"secret (read, write)":   named(HookOpen, 3, "secret"),
		"a?b":                    named(HookMkdir, 0, "a\nb\x00after"),
		"[::1]:80":               {Hook: uint16(HookConnect), Family: familyV6, Port: 80, Address: [16]byte{15: 1}},
		"1.2.3.4:80":             {Hook: uint16(HookConnect), Family: familyV6, Port: 80, Address: [16]byte{10: 255, 11: 255, 12: 1, 13: 2, 14: 3, 15: 4}},
		"unix":                   {Hook: uint16(HookSendmsg), Family: familyUnix},
		"inet raw":               {Hook: uint16(HookCgroupSocket), Family: familyV4, Wanted: 3},
		"family 17 datagram":     {Hook: uint16(HookSocket), Object: 17, Wanted: 2},
		"character 1:11":         {Hook: uint16(HookCgroupDevice), Object: 1<<32 | 11, Wanted: 2},
		"block 8:0":              {Hook: uint16(HookCgroupDevice), Object: 8 << 32, Wanted: 1},
		"0x5412":                 {Hook: uint16(HookIoctl), Object: 0x5412},
		strings.Repeat("n", 184): named(HookUnlink, 0, strings.Repeat("n", 200)),
	} {
		if got, err := DecodeEvent(raw(t, w)); err != nil || got.Detail != detail {
			t.Errorf("%q, %v, want %q", got.Detail, err, detail)
		}
	}
}

func TestEventsThatAreNone(t *testing.T) {
	good := raw(t, wireEvent{Hook: uint16(HookOpen)})
	for name, bad := range map[string][]byte{
		"none": nil, "short": good[:EventSize-1], "long": append(append([]byte{}, good...), 0),
		"hook 0": raw(t, wireEvent{}), "hook 9": raw(t, wireEvent{Hook: 9}), "hook 999": raw(t, wireEvent{Hook: 999}),
		"verdict": raw(t, wireEvent{Hook: uint16(HookOpen), Denied: 2}),
	} {
		if e, err := DecodeEvent(bad); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestEveryHookHasAName: the two lists of numbers agree in length, and no hook
// is nameless.
func TestEveryHookHasAName(t *testing.T) {
	for h := HookCgroupSocket; h <= HookCgroupSysctl; h++ {
		if h.String() == "" || h.Line() != "cgroup" {
			t.Errorf("hook %d: %q of %q", h, h, h.Line())
		}
	}
	for h := HookOpen; h <= HookUnixSend; h++ {
		if h.String() == "" || h.Line() != "lsm" {
			t.Errorf("hook %d: %q of %q", h, h, h.Line())
		}
	}
	if len(hookNames) != int(HookCgroupSysctl)+int(HookUnixSend-HookOpen)+1 {
		t.Errorf("%d names", len(hookNames))
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte{})
	f.Add(raw(f, wireEvent{Hook: uint16(HookCgroupConnect), Family: familyV6}))
	f.Add(raw(f, named(HookOpen, 7, "\x1b]0;title\a")))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := DecodeEvent(in)
		if err != nil {
			return
		}
		for _, text := range []string{e.Comm, e.Detail} {
			if len(text) > EventSize || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q is not fit to be shown", text)
			}
		}
	})
}
