package router

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// endpoint is the link as gVisor sees it: a card without Ethernet, as frame.go
// and the fixed addresses have taken that part away.
type endpoint struct {
	link    Link
	offload offloadLink // nil when the link has none
	mtu     uint32
	count   *counters

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
}

func newEndpoint(link Link, count *counters) *endpoint {
	e := &endpoint{link: link, mtu: 1500, count: count}
	if sized, ok := link.(sizedLink); ok {
		e.mtu = uint32(sized.MTU())
	}
	e.offload, _ = link.(offloadLink)
	return e
}

func (e *endpoint) MTU() uint32                             { return e.mtu }
func (e *endpoint) SetMTU(uint32)                           {}
func (e *endpoint) MaxHeaderLength() uint16                 { return ethernetLen }
func (e *endpoint) LinkAddress() tcpip.LinkAddress          { return "" }
func (e *endpoint) SetLinkAddress(tcpip.LinkAddress)        {}
func (e *endpoint) Wait()                                   {}
func (e *endpoint) Close()                                  {}
func (e *endpoint) SetOnCloseAction(func())                 {}
func (e *endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (e *endpoint) AddHeader(*stack.PacketBuffer)           {}
func (e *endpoint) ParseHeader(*stack.PacketBuffer) bool    { return true }

// Capabilities claims no transmit offload: gVisor would then leave resets and
// datagrams without a checksum. Segments carry theirs through GSOOptions.
func (e *endpoint) Capabilities() stack.LinkEndpointCapabilities {
	if e.offload != nil {
		return stack.CapabilityRXChecksumOffload
	}
	return stack.CapabilityNone
}

// GSOMaxSize is of the whole packet.
func (e *endpoint) GSOMaxSize() uint32 { return maxPacket }

// segmentData is what gVisor puts into a full segment of that size: it takes
// off the largest headers, and one.
const segmentData = maxPacket - header.TCPTotalHeaderMaximumSize - 1

func (e *endpoint) SupportedGSO() stack.SupportedGSO {
	if e.offload != nil {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

func (e *endpoint) Attach(d stack.NetworkDispatcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dispatcher = d
}

func (e *endpoint) IsAttached() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.dispatcher != nil
}

// deliver gives the stack one IP packet, whose bytes it takes over.
func (e *endpoint) deliver(packet buffer.Buffer, protocol tcpip.NetworkProtocolNumber) {
	e.mu.RLock()
	d := e.dispatcher
	e.mu.RUnlock()
	if d == nil {
		packet.Release()
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: packet})
	defer pkt.DecRef()
	pkt.RXChecksumValidated = e.offload != nil
	d.DeliverNetworkPacket(protocol, pkt)
}

// send writes one whole frame.
func (e *endpoint) send(frame []byte) {
	if err := e.link.WriteFrame(frame); err != nil {
		e.count.drop(dropWrite)
		return
	}
	e.count.framesOut.Add(1)
}

// WritePackets is called by the stack from many goroutines.
func (e *endpoint) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	w := writes.Get().(*write)
	defer writes.Put(w)
	for n, pkt := range packets.AsSlice() {
		if err := w.send(e, pkt); err != nil {
			e.count.drop(dropWrite)
			return n, &tcpip.ErrNoBufferSpace{}
		}
		e.count.framesOut.Add(1)
	}
	return packets.Len(), nil
}

// write holds what is needed while a packet is written, for the next one.
type write struct {
	ethernet [ethernetLen]byte
	parts    [][]byte
	flat     []byte
}

var writes = sync.Pool{New: func() any { return new(write) }}

// maxParts is what writev takes with the header that goes before.
const maxParts = 64

func (w *write) send(e *endpoint, pkt *stack.PacketBuffer) error {
	putEthernet(w.ethernet[:], ethertypeOf(pkt))
	w.parts = append(w.parts[:0], w.ethernet[:])
	for _, part := range pkt.AsSlices() {
		if len(part) > 0 {
			w.parts = append(w.parts, part)
		}
	}
	defer clear(w.parts)
	if e.offload != nil && len(w.parts) < maxParts {
		return e.offload.WriteSegments(offloadOf(pkt), w.parts)
	}
	w.flat = w.flat[:0]
	for _, part := range w.parts {
		w.flat = append(w.flat, part...)
	}
	if e.offload != nil {
		return e.offload.WriteSegments(offloadOf(pkt), [][]byte{w.flat})
	}
	return e.link.WriteFrame(w.flat)
}

func ethertypeOf(pkt *stack.PacketBuffer) uint16 {
	if pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber {
		return etherIPv6
	}
	return etherIPv4
}

func offloadOf(pkt *stack.PacketBuffer) offload {
	gso := pkt.GSOOptions
	if gso.Type == stack.GSONone {
		return offload{}
	}
	o := offload{checksum: gso.NeedsCsum, headerLen: uint16(ethernetLen + pkt.HeaderSize())}
	o.checksumStart, o.checksumOffset = ethernetLen+gso.L3HdrLen, gso.CsumOffset
	if gso.Type == stack.GSOTCPv6 {
		o.kind = segmentTCP6
	}
	if pkt.Data().Size() > int(gso.MSS) {
		o.segmentSize = gso.MSS
	}
	return o
}
