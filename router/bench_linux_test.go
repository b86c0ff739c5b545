package router

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// BenchmarkStream is one TCP stream between the app and a loopback server,
// beside the same stream over bare loopback.
func BenchmarkStream(b *testing.B) {
	for _, o := range []struct {
		name string
		labOptions
	}{
		{"mtu 65520", labOptions{}},
		{"mtu 1500", labOptions{mtu: 1500}},
		{"mtu 1500 without offload", labOptions{mtu: 1500, plain: true}},
	} {
		b.Run(o.name, func(b *testing.B) {
			l := newLab(b, o.labOptions)
			streams(b, l.broker.set, func() (net.Conn, error) {
				return l.dial("tcp", netip.AddrPortFrom(literal("ip4"), 80).String())
			})
		})
	}
	b.Run("loopback", func(b *testing.B) {
		var server string
		streams(b, func(dial func(context.Context, sandbox.Flow) (net.Conn, error)) {
			conn, err := dial(b.Context(), sandbox.Flow{Network: "tcp"})
			if err != nil {
				b.Fatal(err)
			}
			server = conn.RemoteAddr().String()
			conn.Close()
		}, func() (net.Conn, error) { return net.Dial("tcp", server) })
	})
}

const benchBlock = 1 << 20

func streams(b *testing.B, set func(func(context.Context, sandbox.Flow) (net.Conn, error)), dial func() (net.Conn, error)) {
	for name, serve := range map[string]func(net.Conn){
		"up":   func(conn net.Conn) { io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}) },
		"down": func(conn net.Conn) { writeEndless(conn) },
	} {
		b.Run(name, func(b *testing.B) {
			ln := serveEach(b, serve)
			set(to(ln))
			conn, err := dial()
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			buf := make([]byte, benchBlock)
			b.SetBytes(benchBlock)
			for b.Loop() {
				if name == "up" {
					_, err = conn.Write(buf)
				} else {
					_, err = io.ReadFull(conn, buf)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func writeEndless(conn net.Conn) {
	buf := make([]byte, benchBlock)
	for {
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

func serveEach(tb testing.TB, serve func(net.Conn)) (addr string) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				serve(conn)
				conn.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

// BenchmarkConnect is a new connection with a verdict that is there already.
func BenchmarkConnect(b *testing.B) {
	l := newLab(b, labOptions{})
	l.broker.set(to(serveEach(b, func(net.Conn) {})))
	l.in(func() {
		for b.Loop() {
			conn, err := net.Dial("tcp", netip.AddrPortFrom(literal("ip4"), 80).String())
			if err != nil {
				fmt.Println(err)
				return
			}
			conn.Close()
		}
	})
}
