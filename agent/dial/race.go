package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// attemptDelay is the Connection Attempt Delay of RFC 8305, section 5: how long
// an address has before the next one is tried beside it.
const attemptDelay = 250 * time.Millisecond

var errNoAddress = errors.New("no address to dial")

// interleave alternates between the families, beginning with that of the first
// address, and keeps the order within each (RFC 8305, section 4).
func interleave(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == addrs[0].Is4() {
			first = append(first, addr)
		} else {
			second = append(second, addr)
		}
	}
	mixed := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			mixed = append(mixed, first[i])
		}
		if i < len(second) {
			mixed = append(mixed, second[i])
		}
	}
	return mixed
}

type attempt struct {
	conn net.Conn
	err  error
}

// race tries the addresses in order, the next one when the last has failed or
// has had its time, and returns the first connection. Every attempt has ended
// when it returns.
func race(ctx context.Context, addrs []netip.Addr, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	if len(addrs) == 1 {
		return dial(ctx, addrs[0]) // nobody to race against
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan attempt, len(addrs))
	begun, ended := 0, 0
	begin := func() {
		addr := addrs[begun]
		begun++
		go func() {
			conn, err := dial(ctx, addr)
			results <- attempt{conn, err}
		}()
	}
	defer func() {
		cancel()
		for ; ended < begun; ended++ {
			if late := <-results; late.conn != nil {
				late.conn.Close()
			}
		}
	}()
	failed := []error{}
	next := time.NewTimer(0)
	defer next.Stop()
	for ended < len(addrs) {
		select {
		case <-next.C:
			if begun < len(addrs) {
				begin()
				next.Reset(attemptDelay)
			}
		case got := <-results:
			ended++
			if got.err == nil {
				return got.conn, nil
			}
			failed = append(failed, got.err)
			next.Reset(0)
		case <-ctx.Done():
			return nil, errors.Join(append(failed, ctx.Err())...)
		}
	}
	if len(failed) == 0 {
		return nil, errNoAddress
	}
	return nil, errors.Join(failed...)
}
