package linuxhost

// gate is what an app's first instruction waits for. A nil gate stands open.
type gate struct {
	done chan struct{} // closed once err is set
	err  error
}

// openGate opens a gate when ready has returned no error.
func openGate(ready func() error) *gate {
	g := &gate{done: make(chan struct{})}
	go func() {
		defer close(g.done)
		g.err = ready()
	}()
	return g
}

func (g *gate) wait() { <-g.done }

// refused is why it did not open; nil also while that is not known.
func (g *gate) refused() error {
	if g == nil {
		return nil
	}
	select {
	case <-g.done:
		return g.err
	default:
		return nil
	}
}
