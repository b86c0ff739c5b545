package guestwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/xtaci/smux"

	"github.com/consentry/consentry/sandbox"
)

// Version of the protocol. There is no talk between two: host and guest are
// built from the same source, and a difference is somebody's mistake.
const Version = 2

// ErrVersion is wrapped by the errors about a guest that speaks another version.
var ErrVersion = errors.New("the guest speaks another version of the protocol")

// verbHello opens the first stream, and no other.
const verbHello = "hello"

// Hello is what a guest says of itself. It is the guest's word: a host that
// wants to be sure asks for the denial, not for the list.
type Hello struct {
	Version int            `json:"version"`
	Kernel  string         `json:"kernel"` // release
	Arch    string         `json:"arch"`
	LSM     []string       `json:"lsm"`   // active, in the kernel's order
	Walls   []sandbox.Wall `json:"walls"` // that can be raised here, a denial of the eBPF programs proven
	Steps   []Step         `json:"steps"` // of the way here
	// Frames: the app's network card is the guest's own, and its frames come over
	// the connection.
	Frames bool `json:"frames,omitempty"`
}

// Step is one step of a guest's set-up and the time it took.
type Step struct {
	Name         string `json:"name"`
	Microseconds int64  `json:"us"`
}

// Bounds of a Hello.
const (
	maxWalls = 64
	maxSteps = 64
	maxWord  = 256 // bytes of a name
)

// check refuses what no guestinit says, and makes its words fit for a terminal.
func (h *Hello) check() error {
	if h.Version != Version {
		return fmt.Errorf("%w: %d, this program speaks %d; kernel and initramfs come with consentry: install those of this version", ErrVersion, h.Version, Version)
	}
	if len(h.Walls) > maxWalls || len(h.Steps) > maxSteps || len(h.LSM) > maxWalls {
		return fmt.Errorf("%w: a hello with %d walls, %d steps, %d modules", sandbox.ErrInvalid, len(h.Walls), len(h.Steps), len(h.LSM))
	}
	h.Kernel, h.Arch = word(h.Kernel), word(h.Arch)
	for i := range h.LSM {
		h.LSM[i] = word(h.LSM[i])
	}
	CleanWalls(h.Walls)
	for i := range h.Steps {
		h.Steps[i].Name = word(h.Steps[i].Name)
	}
	return nil
}

// CleanWalls makes a guest's words about its walls fit for a terminal.
func CleanWalls(walls []sandbox.Wall) {
	for i := range walls {
		w := &walls[i]
		w.Name, w.Waiver, w.Detail = word(w.Name), word(w.Waiver), clean(w.Detail)
	}
}

// word is a name that a guest gave to something.
func word(s string) string { return clean(s[:min(len(s), maxWord)]) }

// clean takes what a terminal would act on out of a guest's text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s[:min(len(s), maxDetail)])
}

// Accept is the host's end of a new connection: it waits for the hello of the
// guest. The Peer's Serve answers the guest's calls by handle. On an error the
// connection is closed.
func Accept(ctx context.Context, conn io.ReadWriteCloser, handle Handler) (*Peer, Hello, error) {
	session, err := newSession(conn, false)
	if err != nil {
		return nil, Hello{}, err
	}
	stop := context.AfterFunc(ctx, func() { session.Close() })
	hello, err := receiveHello(session)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		session.Close()
		return nil, hello, fmt.Errorf("hello of the guest: %w", err)
	}
	return &Peer{session: session, handle: handle}, hello, nil
}

func receiveHello(session *smux.Session) (h Hello, err error) {
	stream, err := session.AcceptStream()
	if err != nil {
		return h, err
	}
	defer stream.Close()
	m, err := readMessage(stream)
	if err != nil {
		return h, err
	}
	if m.Verb != verbHello || m.Answer {
		return h, fmt.Errorf("%w: the first message is %q", sandbox.ErrInvalid, word(m.Verb))
	}
	if err = decode(m.Body, &h); err == nil {
		err = h.check()
	}
	if err != nil {
		return h, errors.Join(err, refuse(stream, err))
	}
	return h, writeMessage(stream, message{Answer: true})
}

// refusalTime is how long a guest that was refused may take to hear it.
const refusalTime = time.Second

// refuse tells the guest why, and lets it hang up first: what is under way when
// we do is lost.
func refuse(stream *smux.Stream, reason error) error {
	if err := writeMessage(stream, message{Answer: true, Code: "invalid", Detail: detail(reason)}); err != nil {
		return err
	}
	//nolint:errcheck // an ended stream fails the read
	stream.SetReadDeadline(time.Now().Add(refusalTime))
	//nolint:errcheck // any end is the end
	io.Copy(io.Discard, stream)
	return nil
}

// Greet is the guest's end: it says hello and waits for the host's answer. On
// an error the connection is closed.
func Greet(ctx context.Context, conn io.ReadWriteCloser, hello Hello, handle Handler) (*Peer, error) {
	session, err := newSession(conn, true)
	if err != nil {
		return nil, err
	}
	p := &Peer{session: session, handle: handle}
	hello.Version = Version
	if err := p.Call(ctx, verbHello, hello, nil); err != nil {
		session.Close()
		return nil, err
	}
	return p, nil
}
