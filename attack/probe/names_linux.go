package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/consentry/consentry/attack"
)

// says connects, says the parts with pauses between them, and reports whether a
// word came back.
func says(to netip.AddrPort, parts ...string) string {
	conn, err := net.DialTimeout("tcp", to.String(), 20*time.Second)
	if err != nil {
		return nameOf(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	for i, part := range parts {
		if i > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		if _, err := io.WriteString(conn, part); err != nil {
			break // it was cut meanwhile
		}
	}
	reply := make([]byte, 4096)
	switch n, err := conn.Read(reply); {
	case n > 0:
		return attack.Answered
	case err != nil && strings.Contains(err.Error(), "timeout"):
		return attack.Silence
	}
	return attack.Cut
}

// helloOf is the client hello that Go's TLS would send for a name.
func helloOf(name string) string {
	var sent recorder
	client := tls.Client(&sent, &tls.Config{ServerName: name, InsecureSkipVerify: name == ""}) //nolint:gosec // nothing is received
	_ = client.Handshake()
	return sent.b.String()
}

// recorder is a connection that keeps what is written, and gives nothing.
type recorder struct {
	net.Conn
	b bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error)      { return r.b.Write(b) }
func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func halves(text string) []string { return []string{text[:len(text)/2], text[len(text)/2:]} }

func (p *probe) otherNames() {
	name, other := p.target("host"), p.target("other")
	granted := p.synthetic("host", typeA)
	secure, plain, proxy := netip.AddrPortFrom(granted, 443), netip.AddrPortFrom(granted, 80), netip.AddrPortFrom(granted, 3128)
	p.tell("the granted SNI", says(secure, helloOf(name)))
	p.tell("the granted SNI, split", says(secure, halves(helloOf(name))...))
	p.tell("another SNI", says(secure, helloOf(other)))
	p.tell("another SNI, split", says(secure, strings.SplitAfter(helloOf(other), other[:3])...))
	p.tell("no SNI", says(secure, helloOf("")))
	p.tell("no hello", says(secure, "SSH-2.0-x\r\n"))
	p.tell("another SNI at a port of its own", says(proxy, helloOf(other)))

	get := func(host string) string { return "GET /names HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	p.tell("the granted Host", says(plain, get(name)))
	p.tell("the granted Host, in capitals", says(plain, get(strings.ToUpper(name)+":80")))
	p.tell("another Host", says(plain, get(other)))
	p.tell("no Host", says(plain, "GET /names HTTP/1.1\r\n\r\n"))
	p.tell("no Host, of HTTP/1.0", says(plain, "GET /names HTTP/1.0\r\n\r\n"))
	p.tell("two Hosts", says(plain, "GET /names HTTP/1.1\r\nHost: "+name+"\r\nHost: "+other+"\r\n\r\n"))
	p.tell("another Host in a URL", says(plain, "GET http://"+other+"/names HTTP/1.1\r\nHost: "+name+"\r\n\r\n"))
	p.tell("another Host in the second request", second(plain, get(name), get(other)))
	p.tell("another Host behind it", says(plain, get(name+"."+other)))
	p.tell("another Host, byte by byte", says(plain, strings.Split(get(other), "")...))
	p.tell("CONNECT", says(proxy, "CONNECT "+other+":443 HTTP/1.1\r\nHost: "+other+":443\r\n\r\n"))
	p.tell("CONNECT to itself", says(proxy, "CONNECT "+name+":443 HTTP/1.1\r\nHost: "+name+":443\r\n\r\n"))
	p.tell("CONNECT at port 80", says(plain, "CONNECT "+other+":443 HTTP/1.1\r\nHost: "+name+"\r\n\r\n"))
}

// second reads the answer to a request before it says another on the same
// connection, and reports what came of that.
func second(to netip.AddrPort, first, then string) string {
	conn, err := net.DialTimeout("tcp", to.String(), 20*time.Second)
	if err != nil {
		return nameOf(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	reply := make([]byte, 64<<10)
	if _, err := io.WriteString(conn, first); err != nil {
		return nameOf(err)
	}
	if n, err := conn.Read(reply); n == 0 {
		return "the first: " + nameOf(err)
	}
	if _, err := io.WriteString(conn, then); err != nil {
		return attack.Cut
	}
	if n, _ := conn.Read(reply); n > 0 {
		return attack.Answered
	}
	return attack.Cut
}
