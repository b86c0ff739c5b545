//go:build !linux && !darwin

package cli

import (
	"os"
	"sync"
)

const chunkSize = 16 << 10

// input reads a file in the background. Here a read that waits cannot be
// ended: its goroutine stays until the next key or the end of the process.
type input struct {
	chunks chan []byte // closed at the end of the file
	quit   chan struct{}
	once   sync.Once
}

func readInput(f *os.File) (*input, error) {
	in := &input{chunks: make(chan []byte), quit: make(chan struct{})}
	go in.read(f)
	return in, nil
}

func (in *input) read(f *os.File) {
	defer close(in.chunks)
	for {
		buf := make([]byte, chunkSize)
		n, err := f.Read(buf)
		if n > 0 {
			select {
			case in.chunks <- buf[:n]:
			case <-in.quit:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (in *input) stop() { in.once.Do(func() { close(in.quit) }) }
