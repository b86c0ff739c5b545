package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/pprof"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/agent/dial"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// agent is the process that stands for the real one: it makes the tap in the
// namespace file NETNS, starts a worker of the program for it, and connects every
// flow to SERVER.
func agent(netns, server, program string) error {
	tap, err := tapIn(netns)
	if err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(server)
	if err != nil {
		return err
	}
	client, err := worker.Start(context.Background(), program, loopback{dial.New(dial.Config{}), at}, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(client.PID())
	ours, theirs, err := fdwire.Pair()
	if err != nil {
		return errors.Join(err, client.Close())
	}
	if err := client.Route(context.Background(), "bench", 0, theirs); err != nil {
		return errors.Join(err, client.Close())
	}
	err = ours.Send(struct{}{}, tap)
	tap.Close() // else each packet would wake this process too
	if err != nil {
		return errors.Join(err, client.Close())
	}
	io.Copy(io.Discard, os.Stdin)
	return client.Close()
}

// loopback is a Broker that says yes to everything and connects to one place, as
// the agent would.
type loopback struct {
	dialler *dial.Dialler
	at      netip.AddrPort
}

func (to loopback) Dial(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
	t := dial.Target{Network: f.Network, Host: to.at.Addr().String(), Port: to.at.Port()}
	return to.dialler.Dial(ctx, dial.Route{}, t, []netip.Addr{to.at.Addr()})
}

func (loopback) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrDenied
}

func (loopback) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

// work is the worker's process. It writes a CPU profile to profileFile, if that
// is there: a worker has no environment that could name one.
func work() int {
	if file, err := os.OpenFile(profileFile, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		defer file.Close()
		if pprof.StartCPUProfile(file) == nil {
			defer pprof.StopCPUProfile()
		}
	}
	return worker.Main()
}

// profileFile must exist to be written.
const profileFile = "/tmp/bench-net.profile"

func tapIn(netns string) (*os.File, error) {
	there, err := os.Open(netns)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	type made struct {
		tap *os.File
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with us
		err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
		if err != nil {
			done <- made{nil, err}
			return
		}
		tap, err := makeTap()
		done <- made{tap, err}
	}()
	m := <-done
	return m.tap, m.err
}

func makeTap() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	ifr, err := unix.NewIfreq(sandbox.LinkDevice)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}
