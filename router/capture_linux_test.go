package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/time/rate"

	"github.com/consentry/consentry/sandbox"
)

// packets reads a pcap file as its format says.
func packets(t *testing.T, file []byte) (frames [][]byte) {
	t.Helper()
	if len(file) < 24 || binary.LittleEndian.Uint32(file) != 0xa1b23c4d || binary.LittleEndian.Uint32(file[20:]) != 1 {
		t.Fatalf("not a pcap file of Ethernet: % x", file[:min(len(file), 24)])
	}
	for file = file[24:]; len(file) >= 16; {
		n := int(binary.LittleEndian.Uint32(file[8:]))
		if whole := int(binary.LittleEndian.Uint32(file[12:])); whole < n || len(file) < 16+n {
			t.Fatalf("a record of %d of %d bytes, %d are left", n, whole, len(file))
		}
		frames = append(frames, file[16:16+n])
		file = file[16+n:]
	}
	if len(file) != 0 {
		t.Errorf("%d bytes after the last record", len(file))
	}
	return frames
}

func TestCapture(t *testing.T) {
	for _, plain := range []bool{false, true} {
		l := newLab(t, labOptions{plain: plain})
		in, out := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := l.router.Capture(ctx, out, 0)
			out.CloseWithError(err)
		})
		var file bytes.Buffer
		wg.Go(func() { io.Copy(&file, in) })
		eventually(t, "the capture runs", func() bool { return l.router.tap.listener.Load() != nil })
		if _, err := l.router.Capture(t.Context(), io.Discard, 0); !errors.Is(err, sandbox.ErrBusy) {
			t.Errorf("a second capture: %v", err)
		}
		l.ask("10.0.2.2:53", "captured.example.", dnsmessage.TypeA)
		time.Sleep(50 * time.Millisecond)
		cancel()
		wg.Wait()
		asked, answered := false, false
		for _, frame := range packets(t, file.Bytes()) {
			if bytes.Contains(frame, []byte("\x08captured\x07example")) {
				from := net.HardwareAddr(frame[6:12]).String()
				asked = asked || from == sandbox.AppMAC
				answered = answered || from == sandbox.GatewayMAC
			}
		}
		if !asked || !answered {
			t.Errorf("plain %t: the file has the question: %t, the answer: %t", plain, asked, answered)
		}
		if l.router.tap.listener.Load() != nil {
			t.Error("the capture has ended, and goes on")
		}
	}
}

func TestCaptureIsBounded(t *testing.T) {
	l := newLab(t, labOptions{})
	const limit = 1000
	var file bytes.Buffer
	done := make(chan error)
	go func() {
		_, err := l.router.Capture(t.Context(), &file, limit)
		done <- err
	}()
	eventually(t, "the capture runs", func() bool { return l.router.tap.listener.Load() != nil })
	for ended := false; !ended; {
		l.ask("10.0.2.2:53", "captured.example.", dnsmessage.TypeA)
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		default:
		}
	}
	if file.Len() > limit || file.Len() < limit/2 {
		t.Errorf("%d bytes, the limit is %d", file.Len(), limit)
	}
	packets(t, file.Bytes())
	// A reader that does not read holds the wire up no longer than its queue.
	slow := &capture{frames: make(chan []byte, 1)}
	for range 3 {
		slow.hear([]byte("frame"))
	}
	if slow.lost.Load() != 2 {
		t.Errorf("%d frames were lost, want 2", slow.lost.Load())
	}
}

func TestBandwidth(t *testing.T) {
	const perSecond, size = 1 << 20, 1 << 20
	l := newLab(t, labOptions{limits: Limits{Bandwidth: perSecond}})
	sink := make(chan net.Conn, 8)
	l.broker.set(func(context.Context, sandbox.Flow) (net.Conn, error) {
		far, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer far.Close()
		conn, err := net.Dial("tcp", far.Addr().String())
		if err != nil {
			return nil, err
		}
		peer, err := far.Accept()
		sink <- peer
		return conn, err
	})
	move := func(from, to net.Conn) time.Duration {
		began := time.Now()
		go func() {
			from.Write(make([]byte, size))
			from.(interface{ CloseWrite() error }).CloseWrite()
		}()
		to.SetDeadline(time.Now().Add(60 * time.Second))
		if n, err := io.Copy(io.Discard, to); n != size || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		return time.Since(began)
	}
	inside, err := l.dial("tcp", "9.9.9.9:1000")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	outside := <-sink
	defer outside.Close()
	// The last burst of bytes is not waited for, and buffers hide some: half
	// the time is sure, and without a limit it takes hundredths of it.
	const least = size * time.Second / perSecond / 2
	if took := move(inside, outside); took < least {
		t.Errorf("up: %s for %d bytes", took, size)
	}
	if took := move(outside, inside); took < least {
		t.Errorf("down: %s for %d bytes", took, size)
	}
}

func TestPacedFlowEndsAtOnce(t *testing.T) {
	limit := rate.NewLimiter(100, 100)
	began := time.Now()
	dead := func() bool { return false }
	if err := spend(limit, 100_000, dead); !errors.Is(err, errPaced) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if err := spend(nil, 1<<30, dead); err != nil {
		t.Error(err)
	}
}
