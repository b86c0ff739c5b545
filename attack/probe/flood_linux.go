package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

// floodAhead is how many questions wait for their answers.
const floodAhead = 64

// count is how much a flood is (row 39).
func (p *probe) count() int {
	n, err := strconv.Atoi(p.target("count"))
	must(err)
	return n
}

// synFlood opens connections to as many places, and keeps those that are held.
// It tells how many were held at the end.
func (p *probe) synFlood() {
	must(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: hardLimit(), Max: hardLimit()}))
	kept, refused := []int{}, 0
	for i := range p.count() {
		addr := netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)})
		fd, err := begin(netip.AddrPortFrom(addr, uint16(1000+i%7)))
		if err != nil {
			refused++
			continue
		}
		kept = append(kept, fd)
	}
	time.Sleep(time.Second)
	held := 0
	for _, fd := range kept {
		switch outcome(fd, 0) {
		case attack.Held:
			held++
		case attack.Done:
			p.tell("connected", "one of them")
		default:
			refused++
		}
	}
	p.tell("tried", strconv.Itoa(held+refused))
	p.tell("held", strconv.Itoa(held))
}

func hardLimit() uint64 {
	var limit unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	return limit.Max
}

// nameFlood asks for as many names, some at a time, and tells how many have got
// an address, and how many had been refused one.
func (p *probe) nameFlood() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	_, sa := sockaddr(resolver4)
	must(unix.Connect(fd, sa))
	must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}))
	counts, buf := map[string]int{}, make([]byte, 1500)
	names := p.count()
	receive := func() {
		n, err := unix.Read(fd, buf)
		if err != nil {
			counts["lost"]++
			return
		}
		if n > 4 {
			binary.BigEndian.PutUint16(buf, 0x1337)
		}
		said, _ := meaning(buf[:n], nil)
		counts[said]++
	}
	for i := range names {
		query := asks(fmt.Sprintf("flood%d.example", i), typeA)
		must(writeAll(fd, query))
		if i >= floodAhead {
			receive()
		}
	}
	for range floodAhead {
		receive()
	}
	p.tell("made up", strconv.Itoa(counts[attack.MadeUp]))
	p.tell("refused", strconv.Itoa(names-counts[attack.MadeUp]-counts["lost"]))
	p.tell("lost", strconv.Itoa(counts["lost"]))
}

func writeAll(fd int, datagram []byte) error {
	_, err := unix.Write(fd, datagram)
	return err
}
