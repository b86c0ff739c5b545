package userdata

import (
	"context"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// Desktop does what apps ask for where the user sits.
type Desktop interface {
	Notify(context.Context, Notification) error
	// Open shows a page in the user's browser; the address is http or https.
	Open(ctx context.Context, address string) error
}

// Notification is an app's words. Its title begins with who says it.
type Notification struct {
	From  string // clean name of the app
	Title string // clean
	Body  string // clean
}

const (
	notifyTime = 10 * time.Second // a notification stays
	doTime     = 10 * time.Second // an action may take
)

// Do does what an app asks for and was allowed.
func (s *Service) Do(ctx context.Context, from string, req sandbox.DataRequest) (sandbox.DataReply, error) {
	ctx, cancel := context.WithTimeout(ctx, doTime)
	defer cancel()
	var reply sandbox.DataReply
	var err error
	switch req.Kind {
	case data.Notify:
		err = s.desktop.Notify(ctx, Notification{From: from, Title: req.Title, Body: req.Body})
	case data.OpenURL:
		err = s.desktop.Open(ctx, req.URL)
	case data.Secret:
		return s.Secrets.use(req.Name)
	default:
		return sandbox.DataReply{}, sandbox.ErrUnknownKind
	}
	if err != nil {
		s.log.Error("an action of an app", "kind", req.Kind, "app", from, "error", err)
		return sandbox.DataReply{}, sandbox.ErrUnavailable
	}
	return reply, nil
}
