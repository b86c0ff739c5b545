package dial

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestRecentLookups(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRecent(func() time.Time { return now })
	addr := netip.MustParseAddr("9.9.9.9")
	if got := r.get("a.example"); got != nil {
		t.Errorf("before a look-up: %v", got)
	}
	r.put("a.example", []netip.Addr{addr})
	got := r.get("a.example")
	if len(got) != 1 || got[0] != addr {
		t.Fatalf("after it: %v", got)
	}
	got[0] = netip.MustParseAddr("127.0.0.1")
	now = now.Add(Remembered)
	if got := r.get("a.example"); len(got) != 1 || got[0] != addr {
		t.Errorf("what one caller has changed is seen by the next: %v", got)
	}
	now = now.Add(time.Nanosecond)
	if got := r.get("a.example"); got != nil {
		t.Errorf("after its time: %v", got)
	}
	for i := range 3 * maxRecent {
		r.put(fmt.Sprint(i, ".example"), []netip.Addr{addr})
	}
	if len(r.known) > maxRecent {
		t.Errorf("%d names are held", len(r.known))
	}
}
