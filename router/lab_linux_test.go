package router

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// lab is a network namespace of the real kernel whose only card is a tap that
// a Router reads.
type lab struct {
	t      testing.TB
	router *Router
	broker *fakeBroker
	netns  int
	jobs   chan func() // run on the thread that made the namespace
}

type labOptions struct {
	plain  bool // no virtio header
	auto   bool // IPv6 by router discovery
	mtu    int
	limits Limits
	idle   time.Duration  // of UDP
	broker sandbox.Broker // nil: the lab's own
	data   http.Handler
}

func newLab(t testing.TB, o labOptions) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes a network namespace and a tap")
	}
	l := &lab{t: t, broker: &fakeBroker{}, jobs: make(chan func()), netns: -1}
	l.broker.set(func(context.Context, sandbox.Flow) (net.Conn, error) { return nil, sandbox.ErrDenied })
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 10.0.2.2\noptions timeout:3 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tap, err := l.enter(resolv, o)
	if err != nil {
		t.Skipf("needs network and mount namespaces and /dev/net/tun: %v", err)
	}
	t.Cleanup(func() { close(l.jobs); unix.Close(l.netns) })
	l.configure(o)
	link, err := TapLink(tap)
	if err != nil {
		t.Fatal(err)
	}
	l.start(link, o)
	l.settle(o)
	return l
}

// settle waits until the kernel, which may take its time, has the card ready:
// what is sent before is lost.
func (l *lab) settle(o labOptions) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if l.ping(sandbox.Gateway4) && (o.auto || l.ping(sandbox.Gateway6)) {
			return
		}
	}
	l.t.Fatal("the card does not carry")
}

// enter makes the namespaces on a thread that lives as long as the lab.
func (l *lab) enter(resolv string, o labOptions) (*os.File, error) {
	var tap *os.File
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with us
		err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, "")
		}
		if err == nil {
			l.netns, err = unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		if err == nil {
			tap, err = makeTap(!o.plain)
		}
		done <- err
		for job := range l.jobs {
			job()
		}
	}()
	return tap, <-done
}

func makeTap(vnet bool) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	ifr, _ := unix.NewIfreq(sandbox.LinkDevice)
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}

func (l *lab) configure(o labOptions) {
	l.t.Helper()
	mtu := sandbox.LinkMTU
	if o.mtu != 0 {
		mtu = o.mtu
	}
	script := fmt.Sprintf(`set -e
ip link set lo up
for knob in accept_ra accept_dad dad_transmits autoconf router_solicitations; do
  echo 0 > /proc/sys/net/ipv6/conf/%[1]s/$knob
done
echo 1 > /proc/sys/net/ipv6/conf/%[1]s/addr_gen_mode
ip link set %[1]s address %[2]s mtu %[3]d up
ip addr add %[4]s dev %[1]s
ip -6 addr add %[5]s dev %[1]s nodad
ip route add default via %[6]s
ip -6 route add default via %[7]s`, sandbox.LinkDevice, sandbox.AppMAC, mtu,
		sandbox.AppPrefix4, sandbox.AppPrefix6, sandbox.Gateway4, sandbox.Gateway6)
	if o.auto {
		script = fmt.Sprintf(`set -e
ip link set lo up
cd /proc/sys/net/ipv6/conf/%[1]s
echo 0 > router_solicitation_delay
ip link set %[1]s address %[2]s mtu %[3]d up
ip addr add %[4]s dev %[1]s
ip route add default via %[5]s`, sandbox.LinkDevice, sandbox.AppMAC, mtu, sandbox.AppPrefix4, sandbox.Gateway4)
	}
	if out, err := l.command("sh", "-c", script); err != nil {
		l.t.Fatalf("set the card up: %v\n%s", err, out)
	}
}

func (l *lab) start(link Link, o labOptions) {
	l.t.Helper()
	var err error
	broker := o.broker
	if broker == nil {
		broker = l.broker
	}
	l.router, err = New(Config{Link: link, Broker: broker, DataAPI: o.data, Limits: o.limits, udpIdle: o.idle})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.router.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				l.t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			buf := make([]byte, 1<<20)
			l.t.Errorf("Run did not return\n%s", buf[:runtime.Stack(buf, true)])
		}
	})
}

// command runs a program inside, with the lab's resolver.
func (l *lab) command(name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	started := make(chan error)
	l.jobs <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// in runs f on a thread of the namespace. Sockets made by f itself are inside.
func (l *lab) in(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock
		if err := unix.Setns(l.netns, unix.CLONE_NEWNET); err != nil {
			l.t.Errorf("setns: %v", err)
			return
		}
		f()
	}()
	<-done
}

// dial connects to an address literal from inside.
func (l *lab) dial(network, addr string) (conn net.Conn, err error) {
	l.in(func() { conn, err = net.DialTimeout(network, addr, 20*time.Second) })
	return conn, err
}

func (l *lab) listen(network, addr string) net.Listener {
	l.t.Helper()
	var ln net.Listener
	var err error
	l.in(func() { ln, err = net.Listen(network, addr) })
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ln.Close() })
	return ln
}

func (l *lab) resolver(network, server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return l.dial(network, server)
	}}
}

// resolve returns the synthetic address of host: family "ip4" or "ip6".
func (l *lab) resolve(family, host string) netip.Addr {
	l.t.Helper()
	addrs, err := l.resolver("udp", "10.0.2.2:53").LookupNetIP(l.t.Context(), family, host)
	if err != nil || len(addrs) != 1 {
		l.t.Fatalf("resolve %s: %v %v", host, addrs, err)
	}
	return addrs[0].Unmap()
}

// ask sends one DNS question over UDP and returns the answer.
func (l *lab) ask(server, name string, kind dnsmessage.Type) dnsmessage.Message {
	l.t.Helper()
	conn, err := l.dial("udp", server)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(queryFor(l.t, name, kind)); err != nil {
		l.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		l.t.Fatalf("ask %s for %s: %v", server, name, err)
	}
	var reply dnsmessage.Message
	if err := reply.Unpack(buf[:n]); err != nil {
		l.t.Fatal(err)
	}
	return reply
}

func fileConn(t testing.TB, fd int) net.Conn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "pair")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: did not happen in 20 s", what)
}
