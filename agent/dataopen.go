package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

var (
	_ sandbox.Leaser = (*broker)(nil)
	_ sandbox.Giver  = (*broker)(nil)
)

// noAfter is when a no, and an answer with nothing in it, are told at the
// earliest: both take the same time to the app. See withhold.
const noAfter = 2 * time.Millisecond

// noClipboardAfter is longer, as a program has to be run to see that nothing was
// copied, and none is run for a no.
const noClipboardAfter = 100 * time.Millisecond

// Open gives data of the user, or does what the app asks for, after a yes.
func (b *broker) Open(ctx context.Context, req sandbox.DataRequest) (sandbox.DataReply, error) {
	began := time.Now()
	if err := data.Check(req); err != nil {
		return sandbox.DataReply{}, err
	}
	kind, target := rightOf(req)
	if _, err := consent.Canonical(kind, target); err != nil {
		return sandbox.DataReply{}, fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	reply, err := b.open(ctx, req, kind, target)
	if errors.Is(err, sandbox.ErrDenied) {
		after := noAfter
		if req.Kind == data.Clipboard {
			after = noClipboardAfter
		}
		sleep(ctx, time.Until(began.Add(after)))
	}
	return reply, err
}

func (b *broker) open(ctx context.Context, req sandbox.DataRequest, kind consent.Kind, target string) (sandbox.DataReply, error) {
	yes, err := b.decide(ctx, kind, target, req.Purpose)
	switch {
	case errors.Is(err, sandbox.ErrDenied) && kind.IsData():
		b.withhold(ctx, req)
		return sandbox.DataReply{}, err
	case err != nil:
		return sandbox.DataReply{}, err
	case kind.IsData():
		return b.give(ctx, req, yes)
	}
	return b.do(ctx, req, yes)
}

// withhold reads what a yes would have been read for: an address book in the
// network takes its time, and one that answers "nothing" at once is one that
// was not looked into.
func (b *broker) withhold(ctx context.Context, req sandbox.DataRequest) {
	if req.Kind == data.Clipboard {
		return
	}
	all := data.Granted{} // else nothing would be read
	for _, field := range data.Names(req.Fields) {
		all[field] = data.Shape{}
	}
	//nolint:errcheck // it is a no, whatever is there
	b.data.Answer(ctx, b.app.ID(), req, all)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// rightOf is what the user is asked for a request.
func rightOf(req sandbox.DataRequest) (consent.Kind, string) {
	switch req.Kind {
	case data.Secret:
		return consent.SecretUse, req.Name
	case data.Notify:
		return consent.Notify, "*"
	case data.OpenURL:
		return consent.URLOpen, req.URL
	}
	return consent.Kind(consent.DataPrefix + req.Kind), strings.Join(data.Names(req.Fields), ",")
}

// give reads what a yes covers and writes down which fields were given, and how
// much that was, never what.
func (b *broker) give(ctx context.Context, req sandbox.DataRequest, yes grantedTarget) (sandbox.DataReply, error) {
	covers := b.covered(req.Kind, yes)
	reply, err := b.data.Answer(ctx, b.app.ID(), req, shapesOf(req.Kind, covers))
	if err != nil {
		return sandbox.DataReply{}, err
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return sandbox.DataReply{}, fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	given := givenFields(req, reply)
	if err := b.lend(req, &reply, &dataLease{yes: yes, fields: given, covers: covers}); err != nil {
		return sandbox.DataReply{}, err
	}
	use := yes.use(int64(len(text)), 0)
	use.Target = strings.Join(given, ",")
	b.tally.add(use)
	return reply, nil
}

// cover is the yes to one field.
type cover struct {
	shape  string // text of a data.Shape
	byRule bool
}

// covered looks the fields up that a yes is about. By a rule each field has one
// of its own, and the user may have changed them in the meantime.
func (b *broker) covered(kind string, yes grantedTarget) map[string]cover {
	fields := yes.decision.Given
	if fields == "" {
		fields = yes.request.Target
	}
	covers := map[string]cover{}
	for field := range strings.SplitSeq(fields, ",") {
		if yes.decision.Source != consent.FromRule {
			covers[field] = cover{yes.decision.Shape, yes.decision.Rule != ""}
			continue
		}
		one := yes.request
		one.Target = field
		if d, found := b.engine.Lookup(one); found && d.Verdict == consent.Allow {
			covers[field] = cover{d.Shape, true}
		}
	}
	return covers
}

// shapesOf reads the shapes; a field whose shape cannot be read is not granted.
func shapesOf(kind string, covers map[string]cover) data.Granted {
	granted := data.Granted{}
	for field, c := range covers {
		if shape, err := data.ParseShape(kind, c.shape); err == nil {
			granted[field] = shape
		}
	}
	return granted
}

// givenFields are those of which a reply has something.
func givenFields(req sandbox.DataRequest, reply sandbox.DataReply) []string {
	withheld := map[string]bool{}
	for _, field := range reply.Withheld {
		withheld[field] = true
	}
	var given []string
	for _, field := range data.Names(req.Fields) {
		if !withheld[field] {
			given = append(given, field)
		}
	}
	return given
}

// do acts for the app.
func (b *broker) do(ctx context.Context, req sandbox.DataRequest, yes grantedTarget) (sandbox.DataReply, error) {
	reply, err := b.data.Do(ctx, consent.CleanName(b.app.Name), cleanAction(req))
	if err != nil {
		return sandbox.DataReply{}, err
	}
	covers := map[string]cover{yes.request.Target: {byRule: yes.decision.Rule != ""}}
	if err := b.lend(req, &reply, &dataLease{yes: yes, covers: covers}); err != nil {
		return sandbox.DataReply{}, err
	}
	b.tally.add(yes.use(0, int64(len(req.Title)+len(req.Body)+len(req.URL))))
	return reply, nil
}

// lend makes a reply fit to leave: under its grant, with a lease if it is to be
// kept, and with handles in the place of what stays here.
func (b *broker) lend(req sandbox.DataRequest, reply *sandbox.DataReply, l *dataLease) error {
	reply.Grant = l.yes.decision.Rule
	lease, stands := b.leases.add(req, l)
	if !stands {
		return sandbox.ErrDenied // taken back while it was read
	}
	reply.Lease = lease
	b.hide(req, *reply, l)
	return nil
}

// cleanAction has what an app wants shown fit to be shown, and an address in
// the form that the user was asked about.
func cleanAction(req sandbox.DataRequest) sandbox.DataRequest {
	req.Title, req.Body = consent.CleanText(req.Title), consent.CleanText(req.Body)
	if req.Kind == data.OpenURL {
		address, err := consent.Canonical(consent.URLOpen, req.URL)
		if err != nil {
			address = "" // refused before
		}
		req.URL = address
	}
	return req
}

// Ended, Reused, Given and GiveBack are of sandbox.Leaser and sandbox.Giver.
func (b *broker) Ended(ctx context.Context) ([]uint64, error) { return b.leases.wait(ctx) }

// Reused counts the uses of kept answers.
func (b *broker) Reused(_ context.Context, uses map[uint64]int64) error {
	for id, n := range uses {
		if l := b.leases.find(id); l != nil && n > 0 {
			use := l.yes.use(0, 0)
			use.Target, use.Times = strings.Join(l.fields, ","), min(n, maxReused)
			b.tally.add(use)
		}
	}
	return nil
}

// maxReused bounds what a worker can have counted at once.
const maxReused = 1 << 30

// Given lists what this run was given.
func (b *broker) Given(context.Context) ([]sandbox.GivenData, error) { return b.leases.given(), nil }

// GiveBack ends a grant on the app's wish.
func (b *broker) GiveBack(ctx context.Context, grant string) error {
	if !b.leases.has(grant) {
		return fmt.Errorf("%w: no such grant", sandbox.ErrNothing)
	}
	if err := b.engine.GiveBack(ctx, b.app, b.run, grant); err != nil {
		return giveBackError(err)
	}
	b.leases.recheck()
	return nil
}
