package agent

import "sync"

// keeper writes the record of one run behind its moves: the newest alone, and
// one write at a time.
type keeper struct {
	write func(record []byte) error

	mu   sync.Mutex
	next []byte        // to be written; nil for nothing
	busy chan struct{} // closed when all is written; nil while nothing is
	err  error         // of the last write
}

// put has a record written, by a goroutine of spawn.
func (k *keeper) put(record []byte, spawn func(func())) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = record
	if k.busy == nil {
		k.busy = make(chan struct{})
		spawn(k.work)
	}
}

func (k *keeper) work() {
	for {
		k.mu.Lock()
		record := k.next
		k.next = nil
		if record == nil {
			close(k.busy)
			k.busy = nil
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		err := k.write(record)
		k.mu.Lock()
		k.err = err
		k.mu.Unlock()
	}
}

// wait returns when the last record is on disk, or why it is not.
func (k *keeper) wait() error {
	k.mu.Lock()
	busy := k.busy
	k.mu.Unlock()
	if busy != nil {
		<-busy
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}
