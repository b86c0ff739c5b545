package agent

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/router"
	"github.com/consentry/consentry/sandbox"
)

// maxFlows bounds the open flows of one run, as its router does.
const maxFlows = router.DefaultFlows

// flows are the open flows of one run. Each knows the yes it lives by, and is
// cut when that yes is gone.
type flows struct {
	engine  *consent.Engine
	offline *offline

	mu     sync.Mutex
	open   map[*flow]struct{}
	closed bool
}

// flow is one connection of the agent to the world, used by a worker.
type flow struct {
	passable
	set     *flows
	about   flowAbout
	granted []grantedTarget
	once    sync.Once
}

// flowAbout is what people are told of a flow.
type flowAbout struct {
	target netTarget
	via    string // upstream proxy
	began  time.Time
}

// status is the flow as it is now.
func (f *flow) status(rec record) api.Flow {
	in, out := f.bytes()
	to := f.about.target
	status := api.Flow{
		Run: rec.ID, RunName: rec.Name, Direction: "out", Network: to.network, Host: to.host, Port: to.port,
		Via: f.about.via, State: "open", In: in, Out: out, Began: f.about.began,
	}
	if f.about.via == "" {
		status.Address = f.dialled()
	}
	for _, g := range f.granted {
		if g.decision.Rule != "" {
			status.Grants = append(status.Grants, g.decision.Rule)
		}
	}
	return status
}

// inboundStatus is a connection of a published port. Bytes are counted from
// the app's side, as everywhere.
func inboundStatus(rec record, p *published, conn tcpConn, began time.Time) api.Flow {
	in, out := tcpBytes(conn)
	return api.Flow{
		Run: rec.ID, RunName: rec.Name, Direction: "in", Network: "tcp", Host: conn.RemoteAddr().String(),
		Port: p.mapping.App, Address: conn.LocalAddr().String(), State: "open", In: in, Out: out, Began: began,
	}
}

// passable is a connection that another process can be given, that can be cut
// under that process's hands, and that counts.
type passable interface {
	net.Conn
	worker.Filer
	cut() error             // both ends see a reset
	bytes() (in, out int64) // to the app, from the app
	dialled() string        // the far address
}

func newFlows(engine *consent.Engine, o *offline) *flows {
	return &flows{engine: engine, offline: o, open: map[*flow]struct{}{}}
}

// add takes over conn.
func (s *flows) add(conn net.Conn, about flowAbout, granted []grantedTarget) (net.Conn, error) {
	p, err := makePassable(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	f := &flow{passable: p, set: s, about: about, granted: granted}
	s.mu.Lock()
	full := s.closed || len(s.open) >= maxFlows
	if !full {
		s.open[f] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		p.Close()
		return nil, sandbox.ErrBusy
	}
	if !s.may(f) { // revoked while it was dialled
		f.end()
		return nil, sandbox.ErrDenied
	}
	return f, nil
}

// Close ends the flow and writes its use into the ledger.
func (f *flow) Close() error {
	f.once.Do(func() {
		f.set.mu.Lock()
		delete(f.set.open, f)
		f.set.mu.Unlock()
		in, out := f.bytes()
		last := len(f.granted) - 1
		for i, g := range f.granted {
			if i < last { // the name's and the address's yes: count the bytes once
				f.set.engine.Used(g.use(0, 0))
			} else {
				f.set.engine.Used(g.use(in, out))
			}
		}
		f.passable.Close()
	})
	return nil
}

// end cuts the flow: the app sees a reset.
func (f *flow) end() {
	f.cut() //nolint:errcheck // Close follows
	f.Close()
}

// may says whether a flow may stay.
func (s *flows) may(f *flow) bool { return !s.offline.on() && f.stillGranted(s.engine) }

// stillGranted looks every yes of the flow up again. A yes by a rule needs a
// rule that allows; a yes for once lasts until a rule denies.
func (f *flow) stillGranted(engine *consent.Engine) bool {
	for _, g := range f.granted {
		if !stillGranted(engine, g) {
			return false
		}
	}
	return true
}

func stillGranted(engine *consent.Engine, g grantedTarget) bool {
	now, found := engine.Lookup(g.request)
	byRule := g.decision.Rule != ""
	return found && now.Verdict == consent.Allow || !found && !byRule
}

// recheck cuts the flows whose yes is gone.
func (s *flows) recheck() {
	for _, f := range s.list() {
		if !s.may(f) {
			f.end()
		}
	}
}

func (s *flows) list() []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*flow, 0, len(s.open))
	for f := range s.open {
		list = append(list, f)
	}
	return list
}

// close ends every flow; later ones are refused.
func (s *flows) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, f := range s.list() {
		f.end()
	}
}
