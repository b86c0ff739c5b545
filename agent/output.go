package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// Bounds of the log of one run.
const (
	chunk      = 32 << 10 // bytes read at once
	maxLogFile = 16 << 20 // bytes; then the file becomes the old one
	oldSuffix  = ".1"
)

// sink takes output as it comes. A sink that blocks holds the app back, as a
// terminal would; one that fails is dropped.
type sink interface {
	output(stream string, data []byte) error
}

// output is what a run writes: kept in a log and passed on to whoever is
// attached.
type output struct {
	path string
	now  func() time.Time

	pipes sync.WaitGroup // readers of the app's pipes

	mu    sync.Mutex
	file  *os.File
	size  int64
	sinks map[sink]struct{}
	grown chan struct{} // closed and replaced at every line
	ended bool
}

// openOutput continues the log in dir.
func openOutput(dir string, now func() time.Time) (*output, error) {
	path := filepath.Join(dir, "log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("log: %w", err)
	}
	return &output{
		path: path, now: now, file: file, size: info.Size(),
		sinks: map[sink]struct{}{}, grown: make(chan struct{}),
	}, nil
}

// pipe returns the writing end for a stream of the app.
func (o *output) pipe(stream string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.pipes.Go(func() { o.read(stream, r) })
	return w, nil
}

// read passes on what comes until every process of the app has closed its end.
func (o *output) read(stream string, r *os.File) {
	defer r.Close()
	buf := make([]byte, chunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			o.write(stream, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (o *output) write(stream string, data []byte) {
	o.log(stream, data)
	for _, s := range o.attached() {
		if s.output(stream, data) != nil {
			o.detach(s)
		}
	}
}

// log appends a line. A full disk loses log lines, not the app.
func (o *output) log(stream string, data []byte) {
	line, err := json.Marshal(api.LogLine{Time: o.now(), Stream: stream, Data: data})
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	if o.size > maxLogFile {
		o.rotate()
	}
	n, _ := o.file.Write(append(line, '\n'))
	o.size += int64(n)
	close(o.grown)
	o.grown = make(chan struct{})
}

// rotate keeps one old file. If it cannot, the log goes on in the one it has.
func (o *output) rotate() {
	if os.Rename(o.path, o.path+oldSuffix) != nil {
		return
	}
	file, err := os.OpenFile(o.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	o.file.Close()
	o.file, o.size = file, 0
}

func (o *output) attached() []sink {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]sink, 0, len(o.sinks))
	for s := range o.sinks {
		list = append(list, s)
	}
	return list
}

func (o *output) attach(s sink) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sinks[s] = struct{}{}
}

func (o *output) detach(s sink) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sinks, s)
}

// close waits for the last of the app's output.
func (o *output) close() {
	o.pipes.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	close(o.grown)
	o.file.Close()
}

// growth returns a channel that is closed at the next line, or nil once there
// will be none.
func (o *output) growth() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return nil
	}
	return o.grown
}

// copyLog writes the log of the run in dir to w. With a live output it goes on
// with what comes, until ctx or the run ends.
func copyLog(ctx context.Context, dir string, live *output, w io.Writer) error {
	path := filepath.Join(dir, "log")
	if err := copyFile(w, path+oldSuffix); err != nil {
		return err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { file.Close() }()
	for {
		var more <-chan struct{}
		if live != nil {
			more = live.growth() // before reading, so that no line is missed
		}
		if _, err := io.Copy(w, file); err != nil {
			return err
		}
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
		if file, err = reopenIfRotated(w, file, path); err != nil {
			return err
		}
	}
}

func copyFile(w io.Writer, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// reopenIfRotated finishes the file at hand when path is another one by now.
func reopenIfRotated(w io.Writer, file *os.File, path string) (*os.File, error) {
	have, err := file.Stat()
	if err != nil {
		return file, err
	}
	now, err := os.Stat(path)
	if err != nil || os.SameFile(have, now) {
		return file, err
	}
	if _, err := io.Copy(w, file); err != nil {
		return file, err
	}
	file.Close()
	return os.Open(path)
}
