package guestinit

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// cardName is the app's network card until it is in the app's namespace: of
// this process, as all distros have one network.
func (g *guest) cardName() string {
	const most = unix.IFNAMSIZ - 1
	name := "ct" + g.run.ID
	return name[:min(len(name), most)]
}

// makeCard makes a tap. Whoever holds its other side has the app's wire,
// wherever the card itself is.
func (g *guest) makeCard(context.Context) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(g.cardName())
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("tap %s: %w", g.cardName(), err), unix.Close(fd))
	}
	g.card = os.NewFile(uintptr(fd), "card")
	return nil
}

// maxFrame bounds a frame, in bytes: a card here carries packets of
// sandbox.LinkMTUEthernet.
const (
	maxFrame  = 2048
	lengthLen = 4
)

// frames carries the app's frames: a length in four bytes, big endian, then the
// frame, as QEMU's -netdev stream has it. It ends with either side.
func (s *server) frames(c *guestwire.Call) error {
	s.mu.Lock()
	card := s.card
	s.card = nil
	s.mu.Unlock()
	if card == nil {
		return fmt.Errorf("%w: frames are carried once", sandbox.ErrInvalid)
	}
	defer card.Close()
	if err := c.Answer(nil); err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sendFrames(c.Stream(), card) //nolint:errcheck // either side may go first
		c.Stream().Close()
	}()
	err := receiveFrames(card, c.Stream())
	card.Close()
	<-sent
	return err
}

func sendFrames(to io.Writer, card io.Reader) error {
	buf := make([]byte, lengthLen+maxFrame)
	for {
		n, err := card.Read(buf[lengthLen:])
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(buf, uint32(n)) //nolint:gosec // at most maxFrame
		if _, err := to.Write(buf[:lengthLen+n]); err != nil {
			return err
		}
	}
}

func receiveFrames(card io.Writer, from io.Reader) error {
	in := bufio.NewReader(from)
	buf := make([]byte, maxFrame)
	for {
		var head [lengthLen]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > maxFrame {
			return fmt.Errorf("%w: a frame of %d bytes, more than %d", sandbox.ErrInvalid, n, maxFrame)
		}
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return err
		}
		_, err := card.Write(buf[:n])
		if err != nil && !dropped(err) {
			return err
		}
	}
}

// dropped says whether the kernel did not take this one frame: the card is not
// up yet, or the frame is none.
func dropped(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOBUFS)
}
