package router

import (
	"net/netip"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestIdleFlowsAreCheap opens flows that have moved a byte each and are silent
// now, and looks at what the process has grown by: the test's own sockets are in
// the figure, so it errs on the high side.
func TestIdleFlowsAreCheap(t *testing.T) {
	const n, most = 2000, 10_000 // bytes a flow
	l := newLab(t, labOptions{})
	server, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(server)
	if err := unix.Listen(server, 128); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(server)
	if err != nil {
		t.Fatal(err)
	}
	l.broker.set(to(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port)).String()))
	before := held()
	fds := make([]int, 0, 2*n)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for range n {
		app, far := visitIdle(t, l, server)
		fds = append(fds, app, far)
	}
	time.Sleep(4 * linger) // the last ones park
	after := held()
	each := (after - before) / n
	t.Logf("%d bytes for an idle flow", each)
	if path := os.Getenv("ROUTER_HEAP_PROFILE"); path != "" {
		file, _ := os.Create(path)
		pprof.WriteHeapProfile(file)
		file.Close()
	}
	if each > most {
		t.Errorf("an idle flow holds %d bytes, want at most %d", each, most)
	}
	if flows := l.router.Stats().Flows; flows != n {
		t.Errorf("%d flows are open, want %d", flows, n)
	}
}

// held is what the process has in use, in bytes.
func held() int {
	runtime.GC()
	runtime.GC() // empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// visitIdle opens one flow and sends a byte each way, with bare sockets.
func visitIdle(t *testing.T, l *lab, server int) (app, far int) {
	t.Helper()
	var err error
	l.in(func() {
		app, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(app, &unix.SockaddrInet4{Port: 80, Addr: literal("ip4").As4()})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	far, _, err = unix.Accept(server)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte{1}
	for _, way := range [][2]int{{app, far}, {far, app}} {
		if _, err := unix.Write(way[0], b); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Read(way[1], b); err != nil {
			t.Fatal(err)
		}
	}
	return app, far
}
