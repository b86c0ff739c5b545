package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// together starts n that stay, and says how long that took and what memory the
// processes that run them have.
func together(ctx context.Context, ours runtime, module string, n int) error {
	argv := append(ours.argv[:len(ours.argv):len(ours.argv)], "--detach")
	detached := runtime{ours.name, argv}
	var wait sync.WaitGroup
	errs := make([]error, n)
	begin := time.Now()
	for i := range n {
		wait.Go(func() { _, _, errs[i] = detached.run(ctx, module) })
	}
	wait.Wait()
	took, failed := time.Since(begin), 0
	for _, err := range errs {
		if err != nil {
			failed++
			fmt.Fprintln(os.Stderr, err)
		}
	}
	fmt.Printf("\n%d at once: started in %s, %d failed\n", n, took.Round(time.Millisecond), failed)
	list, err := workers(ours.argv[0] + "-agent") // beside it
	if err != nil || len(list) == 0 {
		fmt.Printf("their memory cannot be read here: %v\n", err)
		return nil
	}
	total := 0
	for _, kib := range list {
		total += kib
	}
	fmt.Printf("%d worker processes: %.1f MiB each (median), %d MiB in all; memory they share is divided among them\n",
		len(list), float64(median(list))/1024, total/1024)
	return nil
}

// workers are the proportional set sizes, in KiB, of the workers of the program
// in file (/proc/PID/smaps_rollup).
func workers(file string) ([]int, error) {
	program, err := filepath.EvalSymlinks(file) // as it starts itself
	if err != nil {
		return nil, err
	}
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var list []int
	for _, path := range entries {
		cmdline, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(cmdline, []byte(program+"\x00worker\x00")) {
			continue // ended, or another program
		}
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "smaps_rollup"))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] != "Pss:" {
				continue
			}
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				return nil, err
			}
			list = append(list, kib)
		}
	}
	return list, nil
}
