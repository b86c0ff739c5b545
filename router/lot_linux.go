package router

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// lot is where flows wait whose far end says nothing. A goroutine that waits
// costs a stack of some kilobytes, an entry here costs next to none: the lot is
// an epoll instance of its own, and one goroutine looks after all of it.
type lot struct {
	file *os.File
	raw  syscall.RawConn

	wg sync.WaitGroup // of what gives memory back

	mu    sync.Mutex
	flows map[int32]*farEnd // by descriptor
	most  int               // flows that waited when memory was given back
}

// What a flow waits for. Each wait ends with the first event.
const (
	lotReadable = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT
	lotBroken   = unix.EPOLLONESHOT // errors are always reported
)

const (
	// lotEvents are taken at a time.
	lotEvents = 64
	// lotReturn is after how many more flows than ever before memory is given
	// back: opening them took twice what they hold, and they may stay for hours.
	lotReturn = 1000
)

func newLot() (*lot, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's poller waits for it
		unix.Close(fd)
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	l := &lot{file: os.NewFile(uintptr(fd), "epoll"), flows: map[int32]*farEnd{}}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		l.file.Close()
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	return l, nil
}

// wait calls e.lotSaw once there is something to see, perhaps before it
// returns. False says that the connection cannot wait here.
func (l *lot) wait(e *farEnd, events uint32) bool {
	if l == nil {
		return false
	}
	added := false
	err := e.raw.Control(func(fd uintptr) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flows[int32(fd)] = e //nolint:gosec // a descriptor
		added = l.arm(int(fd), events) == nil
		l.giveBack()
	})
	return err == nil && added
}

// giveBack is called with mu held.
func (l *lot) giveBack() {
	if len(l.flows) >= l.most+lotReturn {
		l.most = len(l.flows)
		l.wg.Go(debug.FreeOSMemory)
	}
}

func (l *lot) arm(fd int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)} //nolint:gosec // a descriptor
	return l.control(func(epoll int) error {
		err := unix.EpollCtl(epoll, unix.EPOLL_CTL_MOD, fd, &event)
		if errors.Is(err, unix.ENOENT) {
			err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event)
		}
		return err
	})
}

func (l *lot) control(f func(epoll int) error) error {
	var failed error
	err := l.raw.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}

// forget comes before e is closed. The kernel would not forget it by itself: the
// agent has the same connection open.
func (l *lot) forget(e *farEnd) {
	if l == nil {
		return
	}
	//nolint:errcheck // it may never have waited, or the lot may be closed
	e.raw.Control(func(fd uintptr) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.flows[int32(fd)] != e { //nolint:gosec // a descriptor
			return
		}
		delete(l.flows, int32(fd)) //nolint:gosec // a descriptor
		l.control(func(epoll int) error {
			return unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
		})
	})
}

// run tells flows of their events until close.
func (l *lot) run() {
	events := make([]unix.EpollEvent, lotEvents)
	for {
		n := 0
		err := l.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		if err != nil || n <= 0 {
			return // closed
		}
		for _, event := range events[:n] {
			l.mu.Lock()
			e := l.flows[event.Fd]
			l.mu.Unlock()
			if e != nil { // else forgotten meanwhile
				e.lotSaw(event.Events&unix.EPOLLERR != 0)
			}
		}
	}
}

// close comes when no flow waits any more.
func (l *lot) close() {
	l.file.Close()
	l.wg.Wait()
}
