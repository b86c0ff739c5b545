package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/portal"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

// maxPorts bounds the published ports of one run.
const maxPorts = 64

// pushTimeout bounds the wait for a worker to take its table of ports.
const pushTimeout = 10 * time.Second

// portTable is what one run has published.
type portTable struct {
	changing sync.Mutex // one change at a time: the worker's table follows ours

	mu     sync.Mutex
	list   []*published
	pushed []portal.Port // what the worker was last told
	closed bool
}

func (t *portTable) all() []*published {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

func (t *portTable) find(host uint16, udp bool) *published {
	for _, p := range t.all() {
		if p.mapping.Host == host && p.mapping.UDP() == udp {
			return p
		}
	}
	return nil
}

// take adds p, unless the table is full or closed.
func (t *portTable) take(p *published) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errEnding
	}
	if len(t.list) >= maxPorts {
		return invalid("an app can have %d published ports", maxPorts)
	}
	t.list = append(t.list, p)
	return nil
}

var errEnding = errors.New("the app is ending")

func (t *portTable) drop(p *published) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = slices.DeleteFunc(t.list, func(q *published) bool { return p == q })
}

// close cuts everything; no port comes after it.
func (t *portTable) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for _, p := range t.all() {
		p.close()
	}
}

func (t *portTable) wait() {
	for _, p := range t.all() {
		p.wait()
	}
}

// takePorts takes the ports that the user asked for, before anything starts.
func (l *live) takePorts() error {
	for _, mapping := range l.rec.Request.Ports {
		if _, err := l.takePort(mapping, nil); err != nil {
			return err
		}
	}
	return nil
}

func (l *live) takePort(mapping api.PortMapping, right *grantedTarget) (*published, error) {
	p, err := publish(mapping)
	if err != nil {
		return nil, err
	}
	p.right = right
	p.mapping.URL = l.urlOf(p.mapping)
	if err := l.ports.take(p); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// urlOf is "" for what a browser cannot open.
func (l *live) urlOf(m api.PortMapping) string {
	if m.Kind == api.PortUDP || m.Kind == api.PortRaw {
		return ""
	}
	return l.portalPort(m, nil).URL()
}

func (l *live) portalPort(m api.PortMapping, sources []string) portal.Port {
	return portal.Port{
		Host: m.Host, App: m.App, Mode: portal.Mode(m.Kind), Policy: portal.Policy(m.CSP),
		Name: l.rec.Spec.Hostname, Sources: sources,
	}
}

// openPorts lets connections in. An app whose ports cannot be served is ended,
// unless it has ended already.
func (l *live) openPorts(ctx context.Context) {
	if err := l.pushPorts(ctx); err != nil {
		select {
		case <-l.worker.Ended():
		default:
			l.because(err.Error())
			l.helpers.Go(func() { l.instance.Stop(l.ctx) }) //nolint:errcheck // Wait tells
		}
		return
	}
	for _, p := range l.ports.all() {
		p.serve(l.ctx, l.worker, l.agent.cfg.Log)
	}
}

// mappings are the published ports; with own, only those the user asked for.
func (l *live) mappings(own bool) []api.PortMapping {
	var list []api.PortMapping
	for _, p := range l.ports.all() {
		if !own || p.right == nil {
			list = append(list, p.mapping)
		}
	}
	return list
}

// pushPorts tells the worker what is published and what its pages may load,
// when that is news.
func (l *live) pushPorts(ctx context.Context) error {
	l.ports.changing.Lock()
	defer l.ports.changing.Unlock()
	return l.pushChanged(ctx)
}

// pushChanged: changing is held.
func (l *live) pushChanged(ctx context.Context) error {
	if len(l.ports.all()) == 0 && l.ports.pushed == nil {
		return nil
	}
	var table []portal.Port
	sources := l.sources()
	for _, p := range l.ports.all() {
		if !p.mapping.UDP() {
			table = append(table, l.portalPort(p.mapping, sources))
		}
	}
	if slices.EqualFunc(table, l.ports.pushed, portal.Port.Equal) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	if err := l.worker.SetPorts(ctx, table); err != nil {
		return fmt.Errorf("published ports: %w", err)
	}
	l.ports.pushed = table
	return nil
}

// sources are the places that the grants of the app allow its pages too.
func (l *live) sources() []string {
	if l.agent.offline.on() {
		return nil
	}
	var rules []portal.Rule
	for _, r := range l.agent.engine.Rules(l.rec.App.ID()) {
		if r.Kind == consent.NetConnect && (r.Run == "" || r.Run == l.rec.ID) {
			rules = append(rules, portal.Rule{Target: r.Target, Allow: r.Verdict == consent.Allow})
		}
	}
	return portal.Sources(rules, func(target string) bool {
		decision, known := l.agent.engine.Lookup(consent.Request{
			App: l.rec.App, Run: l.rec.ID, Kind: consent.NetConnect, Target: target,
		})
		return known && decision.Verdict == consent.Allow
	})
}

// publish takes a port while the app runs.
func (l *live) publish(ctx context.Context, mapping api.PortMapping, right *grantedTarget) (*published, error) {
	if l.worker == nil {
		return nil, errNoCard
	}
	l.ports.changing.Lock()
	defer l.ports.changing.Unlock()
	p, err := l.takePort(mapping, right)
	if err != nil {
		return nil, err
	}
	if err := l.pushChanged(ctx); err != nil {
		l.ports.drop(p)
		p.close()
		return nil, err
	}
	p.serve(l.ctx, l.worker, l.agent.cfg.Log)
	return p, nil
}

var errNoCard = invalid("a WebAssembly module has no network card, so it has no ports to publish")

// unpublish takes a port away and cuts its connections.
func (l *live) unpublish(ctx context.Context, p *published) error {
	l.ports.changing.Lock()
	defer l.ports.changing.Unlock()
	p.close()
	l.ports.drop(p)
	if err := l.pushChanged(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	return wait(ctx, closedAfter(p.wait))
}

// closedAfter is closed when f has returned.
func closedAfter(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	return done
}

// offerPorts asks about the ports of the manifest that the user did not publish
// by himself, and publishes each after a yes.
func (l *live) offerPorts() {
	if l.rec.App.Manifest == nil || l.worker == nil {
		return
	}
	for _, port := range l.rec.App.Manifest.Ports {
		asked := slices.ContainsFunc(l.rec.Request.Ports, func(m api.PortMapping) bool {
			return m.App == port.Port && !m.UDP()
		})
		if !asked {
			l.helpers.Go(func() { l.offerPort(port) })
		}
	}
}

func (l *live) offerPort(port app.Port) {
	right, err := l.broker.decide(l.ctx, consent.NetListen, fmt.Sprint(port.Port), port.Label)
	if err != nil {
		return
	}
	mapping := api.PortMapping{App: port.Port, Host: port.Port}
	if port.HTTP {
		mapping.Kind = api.PortHTTP
	}
	if mapping.Host < nextPort(0) { // those below are for root's own services
		mapping.Host = 0
	}
	p, err := l.publish(l.ctx, mapping, &right)
	if err != nil && mapping.Host != 0 { // taken: any other will do
		mapping.Host = 0
		p, err = l.publish(l.ctx, mapping, &right)
	}
	if err != nil {
		l.agent.cfg.Log.Warn("publish a port of the manifest", "run", l.rec.ID, "port", port.Port, "error", err)
		return
	}
	l.agent.engine.Used(right.use(0, 0))
	l.portsChanged("publish", p.mapping)
}

// recheckPorts takes away what was published by a right that is gone, and lets
// pages load from what is granted now. A worker that does not take that is
// ended, and the app with it: it would go on with what was granted before.
func (l *live) recheckPorts() {
	var err error
	for _, p := range l.ports.all() {
		if p.right != nil && !stillGranted(l.agent.engine, *p.right) {
			err = errors.Join(err, l.unpublish(l.ctx, p))
			l.portsChanged("unpublish", p.mapping)
		}
	}
	err = errors.Join(err, l.pushPorts(l.ctx))
	if err != nil && l.ctx.Err() == nil {
		l.because(err.Error())
		l.worker.Close() //nolint:errcheck // watchWorker goes on
	}
}

// portsChanged notes a change in the ledger and in the run's record.
func (l *live) portsChanged(event string, m api.PortMapping) {
	err := l.agent.engine.Note(consent.Event{
		Event: event, App: l.rec.App, Run: l.rec.ID, Kind: string(consent.NetListen), Target: fmt.Sprint(m.App), By: "cli",
	})
	if err != nil {
		l.agent.cfg.Log.Error("ledger", "error", err)
	}
	l.savePorts()
}
