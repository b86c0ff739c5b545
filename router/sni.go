package router

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// Nothing goes out before a whole TLS ClientHello has come that carries the
// name that was dialled: a grant for one host must not reach another that sits
// behind the same address. What remains is a server
// that answers for several names, by HTTP/2 coalescing or an encrypted inner
// hello, under one outer name.

const (
	tlsPort = 443
	// maxHello bounds what is kept of a connection until its hello is whole, in
	// bytes; the hello itself may be split over many records.
	maxHello = 32 << 10

	tlsHandshake   = 22
	tlsClientHello = 1
	tlsServerName  = 0 // the extension, and in it the type host_name
	tlsMaxRecord   = 1<<14 + 256
	tlsRecordHead  = 5
	tlsMessageHead = 4
	tlsRandom      = 32
)

type helloError string

func (e helloError) Error() string { return string(e) }

// errHelloPartial asks for more bytes; every other error is for good.
const errHelloPartial = helloError("the client hello is not whole yet")

// helloGuard holds back what the app says until it is a whole hello.
type helloGuard struct {
	host    string
	lenient bool // other ports: what has no name, or is no hello, passes
	held    []byte
}

func (g *helloGuard) look(data []byte, end bool) (pass []byte, done bool, why reason) {
	g.held = append(g.held, data...)
	name, err := helloName(g.held)
	switch {
	case errors.Is(err, errHelloPartial) && !end && len(g.held) <= maxHello:
		return nil, false, dropNone
	case err != nil && g.lenient:
		return g.held, true, dropNone
	case err != nil, !sameHost(name, g.host):
		return nil, false, cutTLS
	}
	return g.held, true, dropNone
}

func sameHost(name, host string) bool {
	canonical, err := sandbox.CanonicalHost(name)
	return err == nil && canonical == host
}

// helloName returns the server name of the ClientHello that a connection begins
// with. Two names, like none, are an error.
func helloName(raw []byte) (string, error) {
	message, err := firstMessage(raw)
	if err != nil {
		return "", err
	}
	extensions, ok := helloExtensions(message)
	if !ok {
		return "", helloError("the client hello does not fit its lengths")
	}
	return serverName(extensions)
}

// firstMessage joins the records up to the end of the first handshake message,
// and returns its body.
func firstMessage(raw []byte) ([]byte, error) {
	var message []byte
	for {
		if body, whole, err := messageBody(message); whole || err != nil {
			return body, err
		}
		if len(raw) > 0 && raw[0] != tlsHandshake {
			return nil, helloError("not a TLS handshake")
		}
		if len(raw) < tlsRecordHead {
			return nil, errHelloPartial
		}
		n := int(binary.BigEndian.Uint16(raw[3:5]))
		if raw[1] != 3 || n == 0 || n > tlsMaxRecord {
			return nil, helloError("not a TLS record")
		}
		fragment := raw[tlsRecordHead:]
		if len(fragment) < n {
			return nil, errHelloPartial
		}
		message, raw = append(message, fragment[:n]...), fragment[n:]
	}
}

func messageBody(message []byte) (body []byte, whole bool, err error) {
	if len(message) > 0 && message[0] != tlsClientHello {
		return nil, false, helloError("the handshake does not begin with a client hello")
	}
	if len(message) < tlsMessageHead {
		return nil, false, nil
	}
	n := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
	if n > maxHello {
		return nil, false, helloError(fmt.Sprintf("client hello of %d bytes", n))
	}
	body = message[tlsMessageHead:]
	if len(body) < n {
		return nil, false, nil
	}
	return body[:n], true, nil
}

// helloExtensions walks RFC 8446, 4.1.2 to the extensions.
func helloExtensions(hello []byte) (fields, bool) {
	const version = 2
	if len(hello) < version+tlsRandom {
		return nil, false
	}
	rest := fields(hello[version+tlsRandom:])
	for _, lengthSize := range []int{1, 2, 1} { // session id, ciphers, compression
		if _, ok := rest.take(lengthSize); !ok {
			return nil, false
		}
	}
	extensions, ok := rest.take(2)
	return extensions, ok && len(rest) == 0
}

func serverName(extensions fields) (string, error) {
	var name string
	for len(extensions) > 0 {
		kind, ok := extensions.number()
		if !ok {
			return "", helloError("extension without a type")
		}
		body, ok := extensions.take(2)
		if !ok {
			return "", helloError("extension does not fit its length")
		}
		if kind != tlsServerName {
			continue
		}
		one, ok := oneName(body)
		if !ok || name != "" {
			return "", helloError("the client hello does not carry exactly one server name")
		}
		name = one
	}
	if name == "" {
		return "", helloError("the client hello carries no server name")
	}
	return name, nil
}

// oneName reads a list that must hold one host name (RFC 6066, 3).
func oneName(body fields) (string, bool) {
	list, ok := body.take(2)
	if !ok || len(body) != 0 || len(list) == 0 || list[0] != tlsServerName {
		return "", false
	}
	list = list[1:]
	name, ok := list.take(2)
	return string(name), ok && len(list) == 0 && len(name) > 0
}

// fields is what remains of a message.
type fields []byte

// take cuts off a field with a length of lengthSize bytes before it.
func (f *fields) take(lengthSize int) (fields, bool) {
	if len(*f) < lengthSize {
		return nil, false
	}
	n := 0
	for _, b := range (*f)[:lengthSize] {
		n = n<<8 | int(b)
	}
	rest := (*f)[lengthSize:]
	if len(rest) < n {
		return nil, false
	}
	*f = rest[n:]
	return rest[:n], true
}

func (f *fields) number() (int, bool) {
	if len(*f) < 2 {
		return 0, false
	}
	n := int(binary.BigEndian.Uint16(*f))
	*f = (*f)[2:]
	return n, true
}
