package router

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func queryFor(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	q, err := dnsmessage.NewName(name)
	if err != nil {
		t.Fatal(err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: q, Type: kind, Class: dnsmessage.ClassINET}},
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func answered(t *testing.T, table *names, query []byte) dnsmessage.Message {
	t.Helper()
	packed, _ := table.answer(query)
	var m dnsmessage.Message
	if err := m.Unpack(packed); err != nil {
		t.Fatalf("answer to %x: %v", query, err)
	}
	return m
}

func TestAnswerNames(t *testing.T) {
	table := newNames(100, time.Now, newServices(""))
	long := strings.Repeat(strings.Repeat("a", 63)+".", 3)
	for _, c := range []struct {
		name string
		want dnsmessage.RCode
	}{
		{"example.com.", dnsmessage.RCodeSuccess},
		{"EXAMPLE.com.", dnsmessage.RCodeSuccess},
		{"xn--bcher-kva.example.", dnsmessage.RCodeSuccess},
		{long, dnsmessage.RCodeSuccess},
		{"under_score.example.", dnsmessage.RCodeNameError},
		{"-a.example.", dnsmessage.RCodeNameError},
		{"xn--a.example.", dnsmessage.RCodeNameError},
		{"nul\x00.example.", dnsmessage.RCodeNameError},
		{"space .example.", dnsmessage.RCodeNameError},
		{"127.1.", dnsmessage.RCodeNameError},
		{"2130706433.", dnsmessage.RCodeNameError},
		{"10.0.0.1.", dnsmessage.RCodeNameError},
		{"x.arpa.", dnsmessage.RCodeNameError},
		{".", dnsmessage.RCodeNameError},
	} {
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			m := answered(t, table, queryFor(t, c.name, kind))
			if m.RCode != c.want || (len(m.Answers) == 1) != (c.want == dnsmessage.RCodeSuccess) {
				t.Errorf("%q %v: %v with %d answers, want %v", c.name, kind, m.RCode, len(m.Answers), c.want)
			}
		}
	}
	if table.size() != 3 {
		t.Errorf("%d names, want 3", table.size())
	}
}

func TestLocalhostStaysInside(t *testing.T) {
	table := newNames(1, time.Now, newServices(""))
	m := answered(t, table, queryFor(t, "app.localhost.", dnsmessage.TypeA))
	if a, ok := m.Answers[0].Body.(*dnsmessage.AResource); !ok || a.A != [4]byte{127, 0, 0, 1} {
		t.Errorf("answer %v", m.Answers)
	}
	if table.size() != 0 {
		t.Error("localhost took an address")
	}
}

// TestNamesAreBoundedAndNotReusedUnderAFlow fills the table, and sees that a
// name with a flow and a fresh one keep their address, and what is given out
// anew is another address.
func TestNamesAreBoundedAndNotReusedUnderAFlow(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	table := newNames(4, func() time.Time { return now }, newServices(""))
	var first [4]netip.Addr
	for i := range first {
		first[i], _, _ = table.resolve(fmt.Sprintf("host%d.example", i))
	}
	if _, _, ok := table.resolve("fifth.example"); ok {
		t.Fatal("a full table of fresh names took another")
	}
	open := table.acquire(first[0])
	now = now.Add(nameRest + time.Second)
	fresh, _, ok := table.resolve("host1.example")
	if !ok || fresh != first[1] {
		t.Fatalf("a known name has moved from %v to %v", first[1], fresh)
	}
	addr, _, ok := table.resolve("fifth.example")
	if !ok {
		t.Fatal("rested names were not given up")
	}
	for _, old := range first {
		if addr == old {
			t.Errorf("%v was given to another name at once", old)
		}
	}
	if host, _ := table.reverse(first[0]); host != "host0.example" {
		t.Errorf("the name with a flow became %q", host)
	}
	if host, ok := table.reverse(first[2]); ok {
		t.Errorf("a name that was given up is still %q", host)
	}
	table.release(open)
}

func TestSyntheticAddressesLeadToTheirName(t *testing.T) {
	table := newNames(10, time.Now, newServices(""))
	addr4, addr6, _ := table.resolve("example.com")
	for _, addr := range []netip.Addr{addr4, addr6} {
		if !isSynthetic(addr) {
			t.Errorf("%v is not synthetic", addr)
		}
		if n := table.acquire(addr); n == nil || n.host != "example.com" {
			t.Errorf("%v leads to %v", addr, n)
		}
	}
}

// FuzzDNS: an answer is a valid message, never larger than a packet, and
// carries only addresses of ours.
func FuzzDNS(f *testing.F) {
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypePTR, dnsmessage.TypeTXT, 65} {
		f.Add(queryFor(f, "www.example.com.", kind))
		f.Add(queryFor(f, "1.0.18.198.in-addr.arpa.", kind))
	}
	f.Add(append(queryFor(f, "a.", dnsmessage.TypeA)[:12], 0xc0, 12, 0, 1, 0, 1)) // a pointer to itself
	table := newNames(64, time.Now, newServices(""))
	f.Fuzz(func(t *testing.T, query []byte) {
		reply, _ := table.answer(query)
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || len(reply) > 1232 || !m.Response {
			t.Fatalf("reply of %d bytes: %v", len(reply), err)
		}
		for _, answer := range m.Answers {
			if a, ok := answer.Body.(*dnsmessage.AResource); ok {
				addr := netip.AddrFrom4(a.A)
				if !isSynthetic(addr) && !addr.IsLoopback() {
					t.Errorf("answered %v", addr)
				}
			}
		}
		if table.size() > 64 {
			t.Errorf("%d names", table.size())
		}
	})
}
