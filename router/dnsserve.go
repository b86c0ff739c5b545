package router

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// dnsIdle is how long a resolver connection may say nothing.
const dnsIdle = 10 * time.Second

// serveDNS answers DNS over TCP (RFC 1035, 4.2.2: two bytes of length before
// each message).
func (r *Router) serveDNS(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 2+maxDNSQuery)
	for {
		conn.SetDeadline(time.Now().Add(dnsIdle))
		query, err := readDNS(conn, buf)
		if err != nil {
			return
		}
		reply := r.resolveStream(query)
		if reply == nil {
			return
		}
		out := binary.BigEndian.AppendUint16(nil, uint16(len(reply)))
		if _, err := conn.Write(append(out, reply...)); err != nil {
			return
		}
	}
}

func readDNS(conn net.Conn, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf[:2]))
	if n > maxDNSQuery {
		return nil, errLongFrame
	}
	_, err := io.ReadFull(conn, buf[2:2+n])
	return buf[2 : 2+n], err
}

// resolveStream may wait for a verdict.
func (r *Router) resolveStream(query []byte) []byte {
	if q, ok := r.upstream(query); ok {
		r.count.queries.Add(1)
		return r.ask(q, maxPacket)
	}
	return r.resolve(query)
}

// resolve answers one message and counts it.
func (r *Router) resolve(query []byte) []byte {
	r.count.queries.Add(1)
	reply, why := r.names.answer(query)
	if why != dropNone {
		r.count.drop(why)
	}
	return reply
}
