package agent

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/consentry/consentry/agent/userdata"
	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// maxHandles bounds the handles of one run; the oldest ends for a new one.
const maxHandles = 1024

// handles stand for what an app may use and not see: the path of a file, the
// value of a secret. They are of one run, and worth nothing to another.
type handles struct {
	mu    sync.Mutex
	table map[string]handle
	order []string
}

// handle is what stands behind one, and the yes that it rests on.
type handle struct {
	kind  string // data.Files or data.Secret
	what  string
	lease *dataLease
}

func newHandles() *handles { return &handles{table: map[string]handle{}} }

func (h *handles) add(what handle) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.order) >= maxHandles {
		delete(h.table, h.order[0])
		h.order = h.order[1:]
	}
	id := sandbox.HandlePrefix + rand.Text()
	h.table[id] = what
	h.order = append(h.order, id)
	return id
}

func (h *handles) find(kind, id string) (handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	what, has := h.table[id]
	return what, has && what.kind == kind
}

// hide puts handles in the place of what an app must not see. Whatever is left
// in such a place is taken out.
func (b *broker) hide(req sandbox.DataRequest, reply sandbox.DataReply, lease *dataLease) {
	switch req.Kind {
	case data.Files:
		for _, r := range reply.Records {
			if path, is := r["content"].(string); is {
				r["content"] = b.handles.add(handle{data.Files, path, lease})
			} else {
				delete(r, "content")
			}
		}
	case data.Secret:
		if _, has := reply.Values["handle"]; has {
			reply.Values["handle"] = b.handles.add(handle{data.Secret, req.Name, lease})
		}
	}
}

var (
	_ sandbox.PieceReader = (*broker)(nil)
	_ sandbox.Revealer    = (*broker)(nil)
)

// Piece reads a part of a file that the user picked.
func (b *broker) Piece(_ context.Context, p sandbox.FilePiece) (sandbox.FileData, error) {
	h, has := b.handles.find(data.Files, p.Handle)
	if !has {
		return sandbox.FileData{}, fmt.Errorf("%w: no such file", sandbox.ErrNothing)
	}
	if !h.lease.stands(b.engine) {
		return sandbox.FileData{}, sandbox.ErrDenied
	}
	got, err := userdata.ReadPicked(h.what, p)
	if err != nil {
		return sandbox.FileData{}, err
	}
	use := h.lease.yes.use(int64(len(got.Data)), 0)
	use.Target = "content"
	b.tally.add(use)
	return got, nil
}

// Reveal gives the worker the value of a secret for one place. The app's
// worker puts it into a request that goes there, and shows it to nobody.
func (b *broker) Reveal(_ context.Context, s sandbox.SecretFor) (string, error) {
	h, has := b.handles.find(data.Secret, s.Handle)
	if !has || !h.lease.stands(b.engine) {
		return "", sandbox.ErrDenied
	}
	value, err := b.data.Secrets.For(h.what, s.Origin)
	if err != nil {
		return "", err
	}
	use := h.lease.yes.use(0, int64(len(value)))
	b.tally.add(use)
	return value, nil
}
