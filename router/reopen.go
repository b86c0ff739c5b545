package router

import (
	"runtime"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// An app may reset a connection and open another from the same port at once.
// gVisor queues both packets at the old connection, and answers a SYN that it
// finds there behind a reset with a reset of its own: nobody is asked, and the
// app sees ECONNREFUSED. So such a SYN waits until the old connection is gone,
// which is a matter of microseconds.

// resets are the last connections that the app has reset. They belong to the
// reader's goroutine.
type resets struct {
	last [16]flowID
	next int
}

func (r *resets) add(id flowID) {
	r.last[r.next%len(r.last)] = id
	r.next++
}

func (r *resets) has(id flowID) bool {
	for _, one := range r.last {
		if one == id {
			return true
		}
	}
	return false
}

// Patience with a connection that was reset.
const (
	reopenTries = 500
	reopenSpins = 20 // of those without sleep
	reopenPause = 100 * time.Microsecond
)

// awaitReset makes a SYN wait for a connection of the same ports to go, if the app has
// just reset that.
func (r *Router) awaitReset(v verdict) {
	at := v.tcp()
	if at == 0 {
		return
	}
	flags := header.TCP(v.packet[at:]).Flags() & (header.TCPFlagSyn | header.TCPFlagRst)
	if flags == 0 {
		return
	}
	id := v.flowID(at)
	if flags&header.TCPFlagRst != 0 {
		r.resets.add(id)
		return
	}
	if !r.resets.has(id) {
		return
	}
	for try := range reopenTries {
		if r.stack.FindTransportEndpoint(v.protocol(), tcp.ProtocolNumber, id, nic) == nil {
			return
		}
		if runtime.Gosched(); try >= reopenSpins {
			time.Sleep(reopenPause)
		}
	}
}

// flowID is that of a TCP segment whose header is at at.
func (v verdict) flowID(at int) flowID {
	segment := header.TCP(v.packet[at:])
	id := flowID{LocalPort: segment.DestinationPort(), RemotePort: segment.SourcePort()}
	if v.ipv6 {
		ip := header.IPv6(v.packet)
		id.LocalAddress, id.RemoteAddress = ip.DestinationAddress(), ip.SourceAddress()
	} else {
		ip := header.IPv4(v.packet)
		id.LocalAddress, id.RemoteAddress = ip.DestinationAddress(), ip.SourceAddress()
	}
	return id
}
