package agent

import (
	"fmt"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func TestKernelRefusals(t *testing.T) {
	r := kernelRefusals{counts: map[string]uint64{}}
	see := func(times int, e sandbox.TraceEvent) {
		for range times {
			if err := r.see(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	see(9, sandbox.TraceEvent{Call: "open", Detail: "allowed"})
	if text := r.String(); text != "" {
		t.Errorf("of nothing: %q", text)
	}
	see(2, sandbox.TraceEvent{Call: "open", Detail: "key (read)", Denied: true})
	see(3, sandbox.TraceEvent{Call: "socket", Detail: "inet raw", Denied: true})
	if text := r.String(); text != "3 × socket inet raw, 2 × open key (read)" {
		t.Errorf("got %q", text)
	}
	for i := range 10 * maxRefusals {
		see(1, sandbox.TraceEvent{Call: "open", Detail: fmt.Sprint(i), Denied: true})
	}
	if len(r.counts) != maxRefusals || len(r.String()) > 400 {
		t.Errorf("%d groups, %q", len(r.counts), r.String())
	}
}
