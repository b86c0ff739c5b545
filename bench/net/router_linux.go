package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/router"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// agent is the process that stands for the real one: it makes the tap in the
// namespace file NETNS, runs the router in a process of its own, and connects
// every flow to SERVER.
func agent(netns, server string) error {
	tap, err := tapIn(netns)
	if err != nil {
		return err
	}
	conn, theirs, err := fdwire.Pair()
	if err != nil {
		return err
	}
	child := exec.Command("/proc/self/exe", "route")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{theirs, tap}
	if err := child.Start(); err != nil {
		return err
	}
	theirs.Close()
	tap.Close()
	fmt.Println(child.Process.Pid)
	broker := wire.NewBrokerServer(loopback(server))
	peer := wire.New(conn, func(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
		fdwire.CloseAll(files)
		reply, _, err := broker.Handle(ctx, verb, body)
		return reply, err
	})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		child.Process.Signal(os.Interrupt)
	}()
	if err := peer.Serve(context.Background()); !errors.Is(err, io.EOF) {
		return err
	}
	return child.Wait()
}

// loopback is a Broker that says yes to everything and connects to one place.
type loopback string

func (to loopback) Dial(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, f.Network, string(to))
}

func (loopback) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrDenied
}

func (loopback) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

// route is the router's process.
func route() error {
	conn, err := fdwire.FromFile(os.NewFile(3, "agent"))
	if err != nil {
		return err
	}
	link, err := router.TapLink(os.NewFile(4, "tap"))
	if err != nil {
		return err
	}
	peer := wire.New(conn, nil)
	r, err := router.New(router.Config{Link: link, Broker: wire.NewBroker(peer)})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go peer.Serve(ctx)
	defer profile()()
	return r.Run(ctx)
}

// profile writes a CPU profile to a file that begins with BENCH_PROFILE, if that is set.
func profile() (stop func()) {
	path := os.Getenv("BENCH_PROFILE")
	if path == "" {
		return func() {}
	}
	file, err := os.Create(fmt.Sprintf("%s.%d", path, os.Getpid()))
	if err != nil {
		return func() {}
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close()
	}
}

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
