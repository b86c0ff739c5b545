package consent

// Change is news for those who show prompts or enforce rules. One of its fields
// is set.
type Change struct {
	Opened  *Prompt // an app waits for an answer to this
	Settled *Prompt // and this needs none any more, or nobody waits for it
	Rules   bool    // the rules have changed: look open flows up again
}

// watchLength is how many changes a watcher may be behind.
const watchLength = 1024

type watcher struct{ out chan Change }

// Watch delivers every change from now on, in order; prompts that are open
// already are in Pending. The engine never waits for a watcher: one that is
// 1,024 changes behind has its channel closed, and starts again with Watch and
// Pending. The channel is also closed by the returned function and by Close.
func (e *Engine) Watch() (<-chan Change, func()) {
	w := &watcher{out: make(chan Change, watchLength)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		close(w.out)
		return w.out, func() {}
	}
	e.watchers[w] = struct{}{}
	return w.out, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.dropWatcher(w)
	}
}

// dropWatcher: mu is held.
func (e *Engine) dropWatcher(w *watcher) {
	if _, there := e.watchers[w]; there {
		delete(e.watchers, w)
		close(w.out)
	}
}

// emit: mu is held, so that changes come in the order in which they happen.
func (e *Engine) emit(c Change) {
	for w := range e.watchers {
		select {
		case w.out <- c:
		default:
			e.log.Warn("consent: a watcher is too slow and is dropped")
			e.dropWatcher(w)
		}
	}
}
