package dial

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/net/proxy"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of the talk with a proxy.
const (
	proxyTimeout = 30 * time.Second // from the first packet to its yes
	maxProxyHead = 16 << 10         // bytes of its answer to CONNECT
	maxTries     = 2                // addresses of a target that it is asked for
)

// dialThrough asks the proxy for one address after the other, or for the name
// when there is none.
func (d *Dialler) dialThrough(ctx context.Context, route Route, t Target, addrs []netip.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	destinations := []string{t.hostPort()}
	if len(addrs) > 0 {
		destinations = destinations[:0]
		for _, addr := range interleave(addrs)[:min(len(addrs), maxTries)] {
			destinations = append(destinations, t.at(addr))
		}
	}
	var failed []error
	for _, destination := range destinations {
		conn, err := d.tunnel(ctx, route, destination)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, fmt.Errorf("proxy %s: %w", route.Via(), err))
	}
	err := errors.Join(failed...)
	if !errors.Is(ctx.Err(), context.Canceled) { // else the app has gone
		d.seldom.Do(func() { d.log.Warn("a connection through the upstream proxy failed", "error", err) })
	}
	return nil, err
}

// tunnel makes one connection to the proxy and asks it for one destination.
func (d *Dialler) tunnel(ctx context.Context, route Route, destination string) (net.Conn, error) {
	conn, err := d.dialProxy(ctx, route)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // the talk ends all the same
	if route.proxy.Scheme == schemeHTTP {
		err = connectHTTP(conn, route.proxy.User, destination)
	} else {
		err = connectSOCKS5(ctx, conn, route.proxy.User, destination)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// dialProxy connects to the proxy. It may be on this computer or in the local
// network, as the user chose it; a metadata service it never is.
func (d *Dialler) dialProxy(ctx context.Context, route Route) (net.Conn, error) {
	t, err := route.proxyTarget()
	if err != nil {
		return nil, err
	}
	addrs, err := d.addressesOf(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	usable := addrs[:0]
	for _, addr := range addrs {
		switch sandbox.AddressClass(addr) {
		case sandbox.AddressInvalid, sandbox.AddressMetadata, sandbox.AddressSynthetic, sandbox.AddressMulticast:
		default:
			usable = append(usable, addr)
		}
	}
	return race(ctx, interleave(usable), t.dial)
}

func (d *Dialler) addressesOf(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return d.lookup(ctx, host)
}

// connectSOCKS5 is RFC 1928, with the password of RFC 1929.
func connectSOCKS5(ctx context.Context, conn net.Conn, user *url.Userinfo, destination string) error {
	var auth *proxy.Auth
	if user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", conn.RemoteAddr().String(), auth, already{conn})
	if err != nil {
		return err
	}
	_, err = dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", destination)
	return err
}

// already is a dialer whose connection is made.
type already struct{ conn net.Conn }

func (a already) Dial(string, string) (net.Conn, error) { return a.conn, nil }

func (a already) DialContext(context.Context, string, string) (net.Conn, error) { return a.conn, nil }

// connectHTTP is the CONNECT of RFC 9110, section 9.3.6.
func connectHTTP(conn net.Conn, user *url.Userinfo, destination string) error {
	ask := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: destination}, Host: destination,
		Header: http.Header{"User-Agent": {""}}, // none
	}
	if user != nil {
		password, _ := user.Password()
		token := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		ask.Header.Set("Proxy-Authorization", "Basic "+token)
	}
	if err := ask.Write(conn); err != nil {
		return err
	}
	head, err := readHead(conn)
	if err != nil {
		return err
	}
	return judgeHead(head)
}

// readHead reads byte by byte to the empty line and not beyond: what follows is
// the target's, and the bare socket is passed on.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, 0, 256)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if len(head) == maxProxyHead {
			return nil, fmt.Errorf("answer to CONNECT is longer than %d bytes", maxProxyHead)
		}
		head = append(head, 0)
		if _, err := io.ReadFull(r, head[len(head)-1:]); err != nil {
			return nil, fmt.Errorf("answer to CONNECT: %w", err)
		}
	}
	return head, nil
}

// judgeHead takes nothing but a 2xx for a yes.
func judgeHead(head []byte) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("answer to CONNECT: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired, resp.StatusCode == http.StatusUnauthorized: // tinyproxy says so
		return errors.New("it wants another user and password: write them into HTTPS_PROXY or ALL_PROXY, http://USER:PASSWORD@HOST:PORT")
	case resp.StatusCode/100 != 2: //nolint:mnd // the class of success
		return fmt.Errorf("it refused to connect: status %d", resp.StatusCode)
	}
	return nil
}
