//go:build unix

package agent

import (
	"context"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// Who shows things is told of every change, and only then.
func TestNews(t *testing.T) {
	w := newTestAgent(t)
	asked := make(chan error, 1)
	w.host.run = func(_ sandbox.Spec, b sandbox.Broker) int {
		_, err := b.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: "news.test", Port: 443})
		asked <- err
		return 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := make(chan api.News)
	go func() {
		defer close(lines)
		for news, err := range w.client.News(ctx) {
			if err != nil {
				return
			}
			lines <- news
		}
	}()
	until := func(what string, is func(api.News) bool) {
		t.Helper()
		for {
			select {
			case news, open := <-lines:
				if !open {
					t.Fatalf("the news ended before %s", what)
				}
				if is(news) {
					return
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no news of %s", what)
			}
		}
	}
	if first := <-lines; first != (api.News{Requests: true, Rules: true, Runs: true, Reviews: true}) {
		t.Errorf("the first line is %+v", first)
	}
	select {
	case news := <-lines:
		t.Errorf("news of nothing: %+v", news)
	case <-time.After(3 * newsPause):
	}
	s := w.run(api.RunRequest{Source: w.module("news", "1"), Name: "news"})
	s.next(api.FrameStarted)
	until("a run", func(n api.News) bool { return n.Runs })
	list, err := w.client.Requests(t.Context())
	for err == nil && len(list) == 0 {
		until("a request", func(n api.News) bool { return n.Requests })
		list, err = w.client.Requests(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	p := list[0]
	if err := w.client.Answer(t.Context(), p.ID, api.AnswerRequest{Nonce: p.Nonce, Verdict: "deny", Lifetime: "always", By: "cli"}); err != nil {
		t.Fatal(err)
	}
	until("a rule", func(n api.News) bool { return n.Rules })
	if <-asked == nil {
		t.Error("allowed")
	}
	s.next(api.FrameExit)
}

// A slow listener costs nothing: what it missed is joined.
func TestTheBellWaitsForNobody(t *testing.T) {
	var b bell
	b.ring(api.News{Runs: true}) // nobody listens
	e := b.listen()
	for range 1000 {
		b.ring(api.News{Rules: true})
		b.ring(api.News{Reviews: true})
	}
	<-e.wake
	if got, want := b.take(e), (api.News{Rules: true, Reviews: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b.leave(e)
	b.ring(api.News{Runs: true})
	if got := b.take(e); got != (api.News{}) {
		t.Errorf("after it left: %+v", got)
	}
}
