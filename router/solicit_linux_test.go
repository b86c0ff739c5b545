package router

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// TestRouterDiscovery lets a kernel find its address and the way out by itself,
// and use them.
func TestRouterDiscovery(t *testing.T) {
	l := newLab(t, labOptions{auto: true, data: http.NotFoundHandler()})
	eventually(t, "the kernel has made its address", func() bool {
		out, err := l.command("ip", "-6", "addr", "show", "dev", sandbox.LinkDevice, "scope", "global", "-tentative")
		return err == nil && strings.Contains(out, appAuto6.String()+"/64")
	})
	routes, err := l.command("ip", "-6", "route")
	if err != nil || !strings.Contains(routes, "default via "+gatewayLink6.String()+" dev "+sandbox.LinkDevice) || !strings.Contains(routes, prefix6.String()+"/64") {
		t.Errorf("the routes are %v\n%s", err, routes)
	}
	l.broker.set(to(echoServer(t)))
	conn, err := l.dial("tcp", netip.AddrPortFrom(literal("ip6"), 7).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	conn.Write([]byte("hello"))
	buf := make([]byte, 10)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "hello" || addrPort(conn.LocalAddr()).Addr() != appAuto6 {
		t.Errorf("%q, %v came back to %v", buf[:n], err, conn.LocalAddr())
	}
	if asked := l.broker.flows(); len(asked) != 1 || asked[0].Host != literal("ip6").String() {
		t.Errorf("asked for %v", asked)
	}
	l.broker.set(refusing(sandbox.ErrHeld))
	if _, err := l.dial("tcp", netip.AddrPortFrom(literal("ip6"), 9).String()); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("a flow that is held for good: %v", err)
	}
	if addr := l.resolve("ip6", "name.example"); !synthetic6.Contains(addr) {
		t.Errorf("a name is %v", addr)
	}
	if !l.ping(sandbox.Gateway6) {
		t.Error("the gateway does not answer")
	}
	out, err := l.command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "http://[fd00:c0de::2]:9999/")
	if err != nil || out != "404" {
		t.Errorf("the data API: %q, %v", out, err)
	}
}
