package agent

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

// network has the counters of the run's router.
func (l *live) network(ctx context.Context) (api.Network, error) {
	s, err := l.worker.NetworkStats(ctx)
	if err != nil {
		return api.Network{}, err
	}
	n := api.Network{
		Bandwidth: l.rec.Request.Bandwidth, FramesIn: s.FramesIn, FramesOut: s.FramesOut, BytesIn: s.BytesOut, BytesOut: s.BytesIn,
		Queries: s.Queries, Flows: s.Flows, Held: s.Held, Names: s.Names, Drops: s.Drops,
	}
	for _, f := range l.openFlows() { // the router counts a flow at its end
		n.BytesIn += uint64(f.In)   //nolint:gosec // counters
		n.BytesOut += uint64(f.Out) //nolint:gosec // counters
	}
	return n, nil
}

// listFlows answers with the flows of one run, or of all that run.
func (a *Agent) listFlows(w http.ResponseWriter, r *http.Request) error {
	runs := a.list()
	if ref := r.URL.Query().Get("run"); ref != "" {
		one, err := a.find(ref)
		if err != nil {
			return err
		}
		runs = []*run{one}
	}
	list := []api.Flow{}
	for _, one := range runs {
		if _, l := one.snapshot(); l != nil {
			list = append(list, l.openFlows()...)
			list = append(list, l.heldFlows()...)
		}
	}
	slices.SortStableFunc(list, func(x, y api.Flow) int {
		return cmp.Or(cmp.Compare(x.RunName, y.RunName), x.Began.Compare(y.Began))
	})
	return ok(w, list)
}

// openFlows are those that carry, both ways.
func (l *live) openFlows() []api.Flow {
	var list []api.Flow
	for _, f := range l.flows.list() {
		list = append(list, f.status(l.rec))
	}
	for _, p := range l.ports.all() {
		for conn, began := range p.open() {
			list = append(list, inboundStatus(l.rec, p, conn, began))
		}
	}
	return list
}

// heldFlows wait for an answer.
func (l *live) heldFlows() []api.Flow {
	var list []api.Flow
	for _, p := range l.agent.engine.Pending() {
		if p.Request.Run != l.rec.ID || p.Request.Kind != consent.NetConnect || !p.Live {
			continue
		}
		network, rest, _ := strings.Cut(p.Request.Target, "/")
		host, port := splitHostPort(rest)
		list = append(list, api.Flow{
			Run: l.rec.ID, RunName: l.rec.Name, Direction: "out", Network: network, Host: host, Port: port,
			State: "held", Began: p.Asked,
		})
	}
	return list
}

func splitHostPort(text string) (string, uint16) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return text, 0
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return text, 0
	}
	return host, uint16(port)
}

// maxCapture is the most that one capture writes when the caller does not say, in bytes.
const maxCapture = 256 << 20

// captureRun answers with the app's frames until the client leaves.
func (a *Agent) captureRun(w http.ResponseWriter, r *http.Request) error {
	_, l, err := a.liveRun(r)
	if err != nil {
		return err
	}
	if l.worker == nil {
		return errNoCard
	}
	most := int64(maxCapture)
	if text := r.URL.Query().Get("max"); text != "" {
		if most, err = strconv.ParseInt(text, 10, 64); err != nil || most <= 0 {
			return invalid("max %q is not a number of bytes", text)
		}
	}
	from, to, err := os.Pipe()
	if err != nil {
		return err
	}
	note := consent.Event{Event: "capture", App: l.rec.App, Run: l.rec.ID, By: "cli"}
	if err := a.engine.Note(note); err != nil {
		return errors.Join(err, from.Close(), to.Close())
	}
	return copyCapture(w, r, l, from, to, most)
}

// copyCapture carries what the worker writes into the pipe. An error before the
// first byte is an answer; later there is nobody to tell.
func copyCapture(w http.ResponseWriter, r *http.Request, l *live, from, to *os.File, most int64) error {
	failed := make(chan error, 1)
	go func() {
		lost, err := l.worker.Capture(r.Context(), to, most)
		to.Close()
		if lost > 0 {
			l.agent.cfg.Log.Warn("capture lost frames", "run", l.rec.ID, "frames", lost)
		}
		failed <- err
	}()
	stop := context.AfterFunc(r.Context(), func() { from.Close() })
	defer func() { stop(); from.Close(); <-failed }() //nolint:errcheck // read above
	head := make([]byte, 24)                          //nolint:mnd // the file's header comes at once
	if _, err := io.ReadFull(from, head); err != nil {
		err = <-failed
		failed <- nil
		return cmp.Or(err, errors.New("the capture ended before it began"))
	}
	w.Header().Set("Content-Type", "application/vnd.tcpdump.pcap")
	out := flushing{w}
	if _, err := out.Write(head); err == nil {
		io.Copy(out, from) //nolint:errcheck // the client has gone
	}
	return nil
}
