package linuxhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// takeCard moves a network card of this machine into the network namespace of
// pid and sets it up there. The app cannot move it back, or change it: that
// takes CAP_NET_ADMIN, which no app has.
func takeCard(card string, pid int) error {
	if card != "" {
		if err := moveCard(card, pid); err != nil {
			return fmt.Errorf("network card %s: %w", card, err)
		}
	}
	return inNetworkOf(pid, func() error {
		if err := loopbackUp(); err != nil || card == "" {
			return err
		}
		return configureLink(sandbox.LinkMTUEthernet)
	})
}

// moveCard is `ip link set CARD name eth0 netns PID` (rtnetlink(7)).
func moveCard(card string, pid int) error {
	device, err := net.InterfaceByName(card)
	if err != nil {
		return err
	}
	var info [unix.SizeofIfInfomsg]byte
	binary.NativeEndian.PutUint32(info[4:], uint32(device.Index)) //nolint:gosec // a handful of interfaces
	body := info[:]
	body = appendAttribute(body, unix.IFLA_IFNAME, append([]byte(sandbox.LinkDevice), 0))
	body = appendAttribute(body, unix.IFLA_NET_NS_PID, binary.NativeEndian.AppendUint32(nil, uint32(pid))) //nolint:gosec // a process's number
	return askKernel(unix.RTM_NEWLINK, body)
}

func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value))) //nolint:gosec // some bytes
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// askKernel sends one rtnetlink request and returns the kernel's error.
func askKernel(kind uint16, body []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body))) //nolint:gosec // some bytes
	request = binary.NativeEndian.AppendUint16(request, kind)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	request = append(request, make([]byte, 8)...) // number and port: one question only
	if err := unix.Sendto(s, append(request, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	const errorEnd = unix.SizeofNlMsghdr + 4
	if n < errorEnd || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel's answer is no answer")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 { //nolint:gosec // a negative errno
		return unix.Errno(-code)
	}
	return nil
}
