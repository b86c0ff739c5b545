package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Event is one call that was judged.
type Event struct {
	Time   time.Duration // of CLOCK_MONOTONIC
	Cgroup uint64        // id of the caller's
	PID    uint32        // of the caller's process, as the host sees it
	Comm   string        // name of the caller's thread: the app chooses it
	Hook   Hook
	Denied bool
	Detail string // the object, in words fit to be shown
}

// wireEvent is struct event of c/policy.h.
type wireEvent struct {
	Time, Cgroup, Object uint64
	PID                  uint32
	Hook                 uint16
	Denied, Family       uint8
	Port, Wanted         uint32
	Address              [16]byte
	Comm                 [16]byte
	Name                 [184]byte
}

// EventSize is the size of an event in the ring, in bytes.
const EventSize = 256

var errEvent = errors.New("not an event of ours")

// DecodeEvent reads what a program put into the ring.
func DecodeEvent(raw []byte) (Event, error) {
	if len(raw) != EventSize {
		return Event{}, fmt.Errorf("%w: %d bytes", errEvent, len(raw))
	}
	var w wireEvent
	if _, err := binary.Decode(raw, binary.LittleEndian, &w); err != nil {
		return Event{}, fmt.Errorf("%w: %w", errEvent, err)
	}
	hook := Hook(w.Hook)
	if hook.String() == "" || w.Denied > 1 {
		return Event{}, fmt.Errorf("%w: hook %d", errEvent, w.Hook)
	}
	return Event{
		Time: time.Duration(w.Time & (1<<63 - 1)), Cgroup: w.Cgroup, PID: w.PID, Comm: printable(w.Comm[:]), //nolint:gosec // masked
		Hook: hook, Denied: w.Denied == 1, Detail: w.detail(hook),
	}, nil
}

// printable is text up to the first NUL, with what a terminal would obey
// replaced: the app chooses names.
func printable(raw []byte) string {
	text, _, _ := bytes.Cut(raw, []byte{0})
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(text))
}

func (w *wireEvent) detail(hook Hook) string {
	switch hook {
	case HookCgroupSocket:
		return familyName(w.Family) + " " + socketType(w.Wanted)
	case HookSocket:
		return familyName(uint8(min(w.Object, 0xff))) + " " + socketType(w.Wanted)
	case HookCgroupConnect, HookCgroupSendmsg, HookCgroupBind, HookConnect, HookBind, HookSendmsg, HookListen, HookAccept:
		return w.address()
	case HookCgroupDevice:
		return fmt.Sprintf("%s %d:%d", deviceKind(w.Wanted), w.Object>>32, uint32(w.Object)) //nolint:gosec // the lower half
	case HookIoctl:
		if w.Name[0] == 0 {
			return fmt.Sprintf("%#x", w.Object)
		}
	}
	return strings.TrimSpace(printable(w.Name[:]) + " " + rights(w.Wanted))
}

func rights(bits uint32) string {
	var words []string
	for i, word := range []string{"read", "write", "exec"} {
		if bits&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "(" + strings.Join(words, ", ") + ")"
}

// Families of sockets, as Linux numbers them.
const (
	familyUnix    = 1
	familyV4      = 2
	familyV6      = 10
	familyNetlink = 16
)

func familyName(family uint8) string {
	switch family {
	case familyUnix:
		return "unix"
	case familyV4:
		return "inet"
	case familyV6:
		return "inet6"
	case familyNetlink:
		return "netlink"
	}
	return fmt.Sprintf("family %d", family)
}

func socketType(kind uint32) string {
	switch kind & 0xf {
	case 1:
		return "stream"
	case 2:
		return "datagram"
	case 3:
		return "raw"
	}
	return fmt.Sprintf("type %d", kind)
}

func deviceKind(access uint32) string {
	if access&0xffff == 1 {
		return "block"
	}
	return "character"
}

func (w *wireEvent) address() string {
	port := uint16(w.Port) //nolint:gosec // a port has 16 bits
	switch w.Family {
	case familyV4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(w.Address[:4])), port).String()
	case familyV6:
		return netip.AddrPortFrom(netip.AddrFrom16(w.Address).Unmap(), port).String()
	}
	return familyName(w.Family)
}
