package dial

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is a proxy that connects every target to one server, and remembers
// what it was asked for.
type upstream struct {
	server string
	user   string // "name:password"; "" wants none

	mu    sync.Mutex
	asked []string
}

func (u *upstream) dial(destination string) (net.Conn, error) {
	u.mu.Lock()
	u.asked = append(u.asked, destination)
	u.mu.Unlock()
	if strings.HasPrefix(destination, "forbidden.example") || strings.HasPrefix(destination, "9.9.9.66") {
		return nil, fmt.Errorf("not this one")
	}
	return net.Dial("tcp", u.server)
}

func (u *upstream) seen() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.asked, " ")
}

// ServeHTTP is the CONNECT of an HTTP proxy.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
	if u.user != "" && user+":"+password != u.user {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	out, err := u.dial(r.Host)
	if r.Method != http.MethodConnect || err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusOK)
	conn, early, err := http.NewResponseController(w).Hijack()
	if err != nil {
		out.Close()
		return
	}
	join(conn, early, out)
}

// join carries what is read from in, which is of a, to b, and b's to a.
func join(a net.Conn, in io.Reader, b net.Conn) {
	go func() { io.Copy(a, b); a.Close() }()
	io.Copy(b, in)
	b.Close()
}

// serveSOCKS is RFC 1928 and RFC 1929, as far as a client of ours goes.
func (u *upstream) serveSOCKS(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			in := bufio.NewReader(conn)
			if out, err := u.greet(conn, in); err == nil {
				join(conn, in, out)
			}
		}()
	}
}

func (u *upstream) greet(conn net.Conn, in *bufio.Reader) (net.Conn, error) {
	field := func() string { // a byte of length, then that many
		n, _ := in.ReadByte()
		text := make([]byte, n)
		io.ReadFull(in, text)
		return string(text)
	}
	in.Discard(1)
	field()
	if u.user != "" {
		conn.Write([]byte{5, 2})
		in.Discard(1)
		if field()+":"+field() != u.user {
			conn.Write([]byte{1, 1})
			return nil, io.EOF
		}
		conn.Write([]byte{1, 0})
	} else {
		conn.Write([]byte{5, 0})
	}
	head := make([]byte, 4)
	io.ReadFull(in, head)
	var host string
	switch head[3] {
	case 3:
		host = field()
	default:
		raw := make([]byte, map[byte]int{1: 4, 4: 16}[head[3]])
		io.ReadFull(in, raw)
		addr, _ := netip.AddrFromSlice(raw)
		host = addr.String()
	}
	var port uint16
	binary.Read(in, binary.BigEndian, &port)
	out, err := u.dial(net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		conn.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0})
		return nil, err
	}
	conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return out, nil
}

// greeter is a server that speaks first, as mail servers do: nothing of it may
// be lost behind the proxy's own words.
func greeter(t *testing.T) string {
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("220 hello\n"))
			go func() { io.Copy(conn, conn); conn.Close() }()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// proxyOf starts an upstream of a scheme and returns the URL of it.
func proxyOf(t *testing.T, scheme, user string) (*upstream, string) {
	u := &upstream{server: greeter(t), user: user}
	at := ""
	if scheme == schemeHTTP {
		server := httptest.NewServer(u)
		t.Cleanup(server.CloseClientConnections)
		at = server.Listener.Addr().String()
	} else {
		l := listen(t)
		go u.serveSOCKS(l)
		at = l.Addr().String()
	}
	if user != "" {
		user += "@"
	}
	return u, scheme + "://" + user + at
}

// nobodyResolves is a resolver that knows no name.
func nobodyResolves(t *testing.T) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("no resolver here")
	}}
}

func TestThroughAProxy(t *testing.T) {
	for _, scheme := range []string{schemeHTTP, schemeSOCKS5, schemeSOCKS5H} {
		for _, user := range []string{"", "ada:se%20cret"} {
			t.Run(scheme+" "+user, func(t *testing.T) {
				u, url := proxyOf(t, scheme, strings.ReplaceAll(user, "%20", " "))
				url = strings.ReplaceAll(url, " ", "%20")
				d := New(Config{Proxies: Settings{All: url}})
				through(t, d, Target{"tcp", "mail.example", 25}, addrs("9.9.9.9"))
				through(t, d, Target{"tcp", "mail.example", 25}, nil)
				if got := u.seen(); got != "9.9.9.9:25 mail.example:25" {
					t.Errorf("the proxy was asked for %s", got)
				}
			})
		}
	}
}

// through makes a connection and speaks over it.
// passed is what another process has of conn.
func passed(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	theirs, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return theirs
}

func through(t *testing.T, d *Dialler, to Target, list []netip.Addr) {
	t.Helper()
	route, err := d.Route(to)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := d.Dial(t.Context(), route, to, list)
	if err != nil {
		t.Fatal(err)
	}
	conn = passed(t, conn)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "echo\n")
	in := bufio.NewReader(conn)
	for _, want := range []string{"220 hello\n", "echo\n"} {
		if got, err := in.ReadString('\n'); got != want {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
}

func TestAProxyThatSaysNo(t *testing.T) {
	for _, scheme := range []string{schemeHTTP, schemeSOCKS5} {
		u, url := proxyOf(t, scheme, "")
		d := New(Config{Proxies: Settings{All: url}})
		to := Target{"tcp", "forbidden.example", 443}
		route, err := d.Route(to)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := d.Dial(t.Context(), route, to, nil); err == nil {
			conn.Close()
			t.Errorf("%s: a refusal was taken for a yes", scheme)
		}
		// The second address is tried when the first is refused.
		conn, err := d.Dial(t.Context(), route, to, addrs("9.9.9.66", "9.9.9.9"))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if got := u.seen(); got != "forbidden.example:443 9.9.9.66:443 9.9.9.9:443" {
			t.Errorf("%s: the proxy was asked for %s", scheme, got)
		}
	}
}

func TestAProxyWantsAPassword(t *testing.T) {
	for _, scheme := range []string{schemeHTTP, schemeSOCKS5} {
		_, url := proxyOf(t, scheme, "ada:right")
		for _, wrong := range []string{"", "ada:wrong@"} {
			d := New(Config{Proxies: Settings{All: strings.Replace(url, "ada:right@", wrong, 1)}})
			to := Target{"tcp", "mail.example", 25}
			route, err := d.Route(to)
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Dial(t.Context(), route, to, nil)
			if err == nil {
				t.Fatalf("%s with %q: connected", scheme, wrong)
			}
			if strings.Contains(err.Error(), "wrong") {
				t.Errorf("the password stands in the error: %v", err)
			}
		}
	}
}

func TestAProxyIsNeverAMetadataService(t *testing.T) {
	for _, at := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80", "[64:ff9b::a9fe:a9fe]:80", "224.0.0.1:80", "198.18.0.1:80", "0.0.0.0:80"} {
		d := New(Config{Proxies: Settings{All: "http://" + at}})
		to := Target{"tcp", "a.example", 443}
		route, err := d.Route(to)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := d.Dial(t.Context(), route, to, addrs("9.9.9.9")); err == nil || !strings.Contains(err.Error(), errNoAddress.Error()) {
			t.Errorf("%s: %v after %s, want it not dialled", at, err, time.Since(began))
		}
	}
}

// TestASilentProxy must not hold a flow for ever.
func TestASilentProxy(t *testing.T) {
	l := listen(t)
	d := New(Config{Proxies: Settings{All: "http://" + l.Addr().String()}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	to := Target{"tcp", "a.example", 443}
	route, err := d.Route(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Dial(ctx, route, to, addrs("9.9.9.9")); err == nil {
		t.Error("silence was taken for a yes")
	}
}

func TestWhoResolves(t *testing.T) {
	for _, c := range []struct {
		proxy, host string
		remote, ok  bool
	}{
		{"", "a.example", false, false},
		{"http://proxy.example:1", "a.example", true, true},
		{"http://proxy.example:1", "nas.local", false, false},
		{"http://proxy.example:1", "printer", false, false},
		{"socks5://proxy.example:1", "a.example", true, true},
		{"socks5h://proxy.example:1", "a.example", true, true},
		{"socks5h://proxy.example:1", "intranet", false, false},
	} {
		d := New(Config{Resolver: nobodyResolves(t), Proxies: Settings{All: c.proxy}})
		route, err := d.Route(Target{"tcp", c.host, 443})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Resolve(t.Context(), route, c.host)
		if (err == nil) != c.ok || (err == nil && len(got) == 0) != c.remote {
			t.Errorf("%s by %q: %v, %v", c.host, c.proxy, got, err)
		}
	}
}

func FuzzAnswerToCONNECT(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 Connection established\r\n\r\nrest"))
	f.Add([]byte("HTTP/1.0 407 \r\nProxy-Authenticate: Basic\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := strings.NewReader(string(raw))
		head, err := readHead(in)
		if err != nil {
			return
		}
		if len(head)+in.Len() != len(raw) || len(head) > maxProxyHead {
			t.Fatalf("took %d of %d bytes, %d are left", len(head), len(raw), in.Len())
		}
		if judgeHead(head) == nil && !strings.Contains(string(head[:min(len(head), 16)]), " 2") {
			t.Fatalf("a yes was read in %q", head)
		}
	})
}
