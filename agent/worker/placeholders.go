package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
	"github.com/consentry/consentry/share/placeholder"
)

// placeholdersJob has the worker answer for places that folders may come to;
// their files come with it.
type placeholdersJob struct {
	Names []string `json:"names"` // what is asked for when a place is touched
	Owner uint32   `json:"owner"` // whom the places belong to, by the number outside
}

// Placeholders has the worker ask when a place is touched. It takes files over.
func (c *Client) Placeholders(ctx context.Context, names []string, owner uint32, files []*os.File) error {
	defer fdwire.CloseAll(files)
	_, err := c.peer.Call(ctx, verbPlaceholders, placeholdersJob{Names: names, Owner: owner}, nil, files...)
	return err
}

func (s *server) placeholders(body json.RawMessage, files []*os.File) error {
	var job placeholdersJob
	if err := json.Unmarshal(body, &job); err != nil || len(files) != len(job.Names) {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: placeholders have names and files", sandbox.ErrInvalid)
	}
	if !s.confined() {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: placeholders before a job", sandbox.ErrInvalid)
	}
	broker := wire.NewBroker(s.peer)
	for i, name := range job.Names {
		go s.answer(broker, name, job.Owner, files[i])
	}
	return nil
}

// confined: a worker that has its job is.
func (s *server) confined() bool {
	select {
	case <-s.routing:
		return true
	case <-s.ctx.Done():
		return false
	case <-time.After(routeTime):
		return false
	}
}

// routeTime is how long a router may take to have its network card.
const routeTime = 10 * time.Second

// answer serves one place until the sandbox is gone.
func (s *server) answer(broker sandbox.Broker, name string, owner uint32, file *os.File) {
	err := placeholder.Serve(s.ctx, file, placeholder.Owner{UID: owner, GID: owner}, func(ctx context.Context, touched string) error {
		return broker.File(ctx, sandbox.FileRequest{Share: name, Path: touched})
	})
	if err != nil {
		s.log.Error("placeholder", "folder", name, "error", err)
	}
}
