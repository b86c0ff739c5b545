package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// compareAtOnce starts n apps at the same moment, from a process that starts as
// an agent does, and shows what that takes of its memory.
func compareAtOnce(n int, launcher string) (err error) {
	dir, err := os.MkdirTemp("", "launch")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	root, err := rootFS(dir)
	if err != nil {
		return err
	}
	o, err := newOurs(filepath.Join(dir, "state"), root, launcher, true)
	if err != nil {
		return err
	}
	defer o.end()
	specs := make([]sandbox.Spec, n)
	for i := range specs {
		specs[i] = o.spec("/bin/true")
		specs[i].Image.IDBase = firstIDs + uint32(1000+i)<<16 //nolint:gosec // a few hundred
		worker, link, err := fdwire.SocketPair()
		if err != nil {
			return err
		}
		defer worker.Close()
		specs[i].Link = link
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i, spec := range specs {
		all.Go(func() { errs[i] = o.start(spec, false) })
	}
	all.Wait()
	took := time.Since(began)
	lost := 0
	for _, err := range errs {
		if err != nil {
			lost++
		}
	}
	o.host.Settle()
	most, err := mostMemory()
	fmt.Printf("%d starts at once: %.0f ms, %d lost, at most %d MiB resident in this process\n", n, float64(took.Microseconds())/1000, lost, most>>10)
	return errors.Join(err, errors.Join(errs...))
}

// mostMemory is the most this process had resident so far, in KiB.
func mostMemory() (kib int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if rest, is := bytes.CutPrefix(line, []byte("VmHWM:")); is {
			_, err = fmt.Sscan(string(rest), &kib)
			return kib, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
