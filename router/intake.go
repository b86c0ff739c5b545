package router

import (
	"errors"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Bytes of a packet cross the router once: a large one is read into the buffer
// in which the stack keeps it. Its headers are copied out in front, as gVisor
// copies the whole buffer that it takes headers from.

const (
	// largePacket is from where on, in bytes, a packet stays where it was read:
	// a smaller one would hold a buffer of maxPacket for nothing.
	largePacket = 16 << 10
	// smallPacket is from where on headers are kept apart.
	smallPacket = 256
)

// readFrames serves the app's frames until the link ends.
func (r *Router) readFrames() error {
	read := r.readWhole()
	if split, ok := r.link.(splitLink); ok {
		read = r.readSplit(split)
	}
	for {
		switch err := read(); {
		case errors.Is(err, errLongFrame):
			r.count.drop(dropLong)
		case err != nil:
			return err
		}
	}
}

func (r *Router) readWhole() func() error {
	buf := make([]byte, maxFrame+1)
	return func() error {
		n, err := r.link.ReadFrame(buf)
		if err == nil {
			r.handleFrame(buf[:n])
		}
		return err
	}
}

func (r *Router) handleFrame(frame []byte) {
	v := judge(frame)
	r.handle(v, func() buffer.Buffer { return copied(v) })
}

// readSplit reads into a buffer of gVisor's, and gets a new one when the stack
// has kept it. A chunk holds 65,536 bytes, one more than a packet can have.
func (r *Router) readSplit(link splitLink) func() error {
	var ethernet [ethernetLen]byte
	view := buffer.NewViewSize(buffer.MaxChunkSize)
	return func() error {
		n, err := link.ReadSplit(ethernet[:], view.AsSlice())
		if err != nil {
			return err
		}
		if n < ethernetLen {
			r.handle(dropped(dropShort), nil)
			return nil
		}
		v := judgeSplit(ethernet, view.AsSlice()[:n-ethernetLen])
		r.handle(v, func() buffer.Buffer {
			if len(v.packet) < largePacket {
				return copied(v)
			}
			kept := view
			view = buffer.NewViewSize(buffer.MaxChunkSize)
			return taken(kept, v)
		})
		return nil
	}
}

// handle does what a verdict says; pass makes the packet that goes on.
func (r *Router) handle(v verdict, pass func() buffer.Buffer) {
	r.count.framesIn.Add(1)
	switch {
	case v.reply != nil:
		r.endpoint.send(v.reply)
		if v.solicited {
			r.adverts.begin()
		}
	case v.ping:
		r.handlePing(v.packet, v.ipv6)
	case v.packet != nil:
		r.awaitReset(v)
		r.endpoint.deliver(pass(), v.protocol())
	default:
		r.count.drop(v.why)
	}
}

// copied leaves v.packet to its owner.
func copied(v verdict) buffer.Buffer {
	n := v.headerLen()
	if len(v.packet) <= smallPacket || n == 0 {
		return buffer.MakeWithData(v.packet)
	}
	b := buffer.MakeWithData(v.packet[:n])
	if err := b.Append(buffer.NewViewWithData(v.packet[n:])); err != nil {
		b.Release() // cannot be: the buffer is far below its size limit
	}
	return b
}

// taken keeps view, at whose beginning v.packet is.
func taken(view *buffer.View, v verdict) buffer.Buffer {
	view.CapLength(len(v.packet))
	n := v.headerLen()
	if n == 0 {
		return buffer.MakeWithView(view)
	}
	b := buffer.MakeWithData(v.packet[:n])
	view.TrimFront(n)
	if err := b.Append(view); err != nil {
		b.Release() // as above
	}
	return b
}

// headerLen is the length of the headers of a packet that judge has let pass,
// when it is a whole TCP segment with data, and 0 otherwise.
func (v verdict) headerLen() int {
	at := v.tcp()
	if at == 0 {
		return 0
	}
	size := int(header.TCP(v.packet[at:]).DataOffset())
	if size < header.TCPMinimumSize || len(v.packet) <= at+size {
		return 0
	}
	return at + size
}

// tcp is where in a packet that judge has let pass the TCP header begins, when it
// holds a whole one, and 0 otherwise.
func (v verdict) tcp() int {
	b, at := v.packet, header.IPv6MinimumSize
	if v.ipv6 {
		if header.IPv6(b).NextHeader() != uint8(header.TCPProtocolNumber) {
			return 0
		}
	} else {
		ip := header.IPv4(b)
		if ip.Protocol() != uint8(header.TCPProtocolNumber) || ip.More() || ip.FragmentOffset() != 0 {
			return 0
		}
		at = int(ip.HeaderLength())
	}
	if len(b) < at+header.TCPMinimumSize {
		return 0
	}
	return at
}

func (v verdict) protocol() tcpip.NetworkProtocolNumber {
	if v.ipv6 {
		return header.IPv6ProtocolNumber
	}
	return header.IPv4ProtocolNumber
}
