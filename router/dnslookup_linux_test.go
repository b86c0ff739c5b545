package router

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/consentry/consentry/sandbox"
)

// lookupBroker answers look-ups too.
type lookupBroker struct {
	*fakeBroker
	mu     sync.Mutex
	asked  []sandbox.Lookup
	answer func(sandbox.Lookup) (sandbox.Records, error)
}

func (b *lookupBroker) Lookup(_ context.Context, l sandbox.Lookup) (sandbox.Records, error) {
	b.mu.Lock()
	b.asked = append(b.asked, l)
	b.mu.Unlock()
	return b.answer(l)
}

// TestRecordsOfOthersAreHeld asks for them with a real resolver.
func TestRecordsOfOthersAreHeld(t *testing.T) {
	const hold = 300 * time.Millisecond
	long := strings.Repeat("x", 2000)
	broker := &lookupBroker{answer: func(l sandbox.Lookup) (sandbox.Records, error) {
		time.Sleep(hold)
		switch {
		case l.Host == "no.example":
			return sandbox.Records{}, sandbox.ErrDenied
		case l.Host == "long.example":
			return sandbox.Records{TXT: []string{long}}, nil
		case l.Type == "TXT":
			return sandbox.Records{TXT: []string{l.Service + " of " + l.Host}}, nil
		}
		return sandbox.Records{Servers: []sandbox.Server{{Host: "server.example.", Port: 5060, Priority: 3, Weight: 4}}}, nil
	}}
	l := newLab(t, labOptions{broker: broker})
	for _, network := range []string{"udp", "tcp"} {
		resolver := l.resolver(network, "10.0.2.2:53")
		start := time.Now()
		texts, err := resolver.LookupTXT(t.Context(), "_dmarc.Example.com")
		if err != nil || len(texts) != 1 || texts[0] != "_dmarc of example.com" {
			t.Errorf("%s: TXT %d records, %v", network, len(texts), err)
		}
		if time.Since(start) < hold {
			t.Errorf("%s: answered before the verdict", network)
		}
		_, servers, err := resolver.LookupSRV(t.Context(), "sip", "tcp", "example.com")
		if err != nil || len(servers) != 1 || servers[0].Target != "server.example." || servers[0].Port != 5060 {
			t.Errorf("%s: SRV %v, %v", network, servers, err)
		}
		mx, err := resolver.LookupMX(t.Context(), "example.com")
		if err != nil || len(mx) != 1 || mx[0].Pref != 3 {
			t.Errorf("%s: MX %v, %v", network, mx, err)
		}
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
		return l.dial(network, "10.0.2.2:53") // over TCP when the answer was cut
	}}
	if texts, err := resolver.LookupTXT(t.Context(), "long.example"); err != nil || len(texts) != 1 || texts[0] != long {
		t.Errorf("a long TXT: %d, %v", len(texts), err)
	}
	if m := l.ask("10.0.2.2:53", "no.example.", dnsmessage.TypeTXT); m.RCode != dnsmessage.RCodeRefused {
		t.Errorf("a denied question: %v", m.RCode)
	}
	for _, bad := range []string{"_tcp.", "_x.localhost.", "1.2.3.4.", "a_b.example."} {
		if m := l.ask("10.0.2.2:53", bad, dnsmessage.TypeTXT); len(m.Answers) != 0 {
			t.Errorf("%s: %v", bad, m.Answers)
		}
	}
	broker.mu.Lock()
	defer broker.mu.Unlock()
	for _, asked := range broker.asked {
		if !slices.Contains([]string{"example.com", "no.example", "long.example"}, asked.Host) {
			t.Errorf("asked about %+v", asked)
		}
	}
	eventually(t, "questions end", func() bool { return l.router.Stats().Flows == 0 })
}
