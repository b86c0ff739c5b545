package router

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// goodSYN is a whole frame of the app's card with a SYN for port 80, whose
// source may be a lie.
func goodSYN(src, dst netip.Addr) []byte {
	var frame, payload []byte
	if src.Is4() {
		frame, payload = newIPv4(src, dst, uint8(header.TCPProtocolNumber), header.TCPMinimumSize)
	} else {
		frame, payload = newIPv6(src, dst, header.TCPProtocolNumber, header.TCPMinimumSize)
	}
	fromApp(frame)
	tcp := header.TCP(payload)
	tcp.Encode(&header.TCPFields{SrcPort: 40000, DstPort: 80, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 65535})
	tcp.SetChecksum(^tcp.CalculateChecksum(header.PseudoHeaderChecksum(header.TCPProtocolNumber, address(src), address(dst), header.TCPMinimumSize)))
	return frame
}

// fromApp turns a frame of the gateway round.
func fromApp(frame []byte) {
	copy(frame[:6], gatewayMAC[:])
	copy(frame[6:12], appMAC[:])
}
