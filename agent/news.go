package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

// newsPause is the least time between two lines of news: a flood of changes
// makes few of them.
const newsPause = 100 * time.Millisecond

// bell tells listeners what has changed. It never waits for one: what a slow
// one has not taken yet is joined.
type bell struct {
	mu   sync.Mutex
	ears map[*ear]struct{}
}

type ear struct {
	wake chan struct{}
	news api.News // not taken yet; guarded by the bell
}

func (b *bell) listen() *ear {
	e := &ear{wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ears == nil {
		b.ears = map[*ear]struct{}{}
	}
	b.ears[e] = struct{}{}
	return e
}

func (b *bell) leave(e *ear) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ears, e)
}

func (b *bell) ring(n api.News) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range b.ears {
		e.news = e.news.Or(n)
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

func (b *bell) take(e *ear) api.News {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := e.news
	e.news = api.News{}
	return n
}

// ringForConsent rings for what happens in the engine until the agent closes. A
// watcher that was too slow for the engine is replaced, and then all may have
// changed.
func (a *Agent) ringForConsent() {
	for {
		changes, stop := a.engine.Watch()
		a.bell.ring(api.News{Requests: true, Rules: true})
		over := a.ringFor(changes)
		stop()
		if over {
			return
		}
	}
}

func (a *Agent) ringFor(changes <-chan consent.Change) (over bool) {
	for {
		select {
		case change, open := <-changes:
			if !open {
				return a.closed()
			}
			a.bell.ring(api.News{Requests: !change.Rules, Rules: change.Rules})
		case <-a.closing:
			return true
		}
	}
}

// closed says whether the agent has begun to end.
func (a *Agent) closed() bool {
	select {
	case <-a.closing:
		return true
	default:
		return false
	}
}

// getNews writes a line at once and after each change, until the client leaves
// or the agent ends.
func (a *Agent) getNews(w http.ResponseWriter, r *http.Request) error {
	e := a.bell.listen()
	defer a.bell.leave(e)
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(flushing{w})
	for news := (api.News{Requests: true, Rules: true, Runs: true, Reviews: true}); ; news = a.bell.take(e) {
		if lines.Encode(news) != nil {
			return nil // the client has gone
		}
		if pause(r.Context(), a.closing, newsPause) != nil {
			return nil
		}
		select {
		case <-e.wake:
		case <-a.closing:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// pause waits for a time, or returns an error.
func pause(ctx context.Context, closing <-chan struct{}, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-closing:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}
