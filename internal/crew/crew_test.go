package crew

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEndWaitsForEveryTask(t *testing.T) {
	var c Crew
	var done atomic.Int32
	var hold sync.WaitGroup
	hold.Add(1)
	const tasks = 10 * maxIdle // all at once: none waits for another
	var begun sync.WaitGroup
	for range tasks {
		begun.Add(1)
		c.Run(func() { begun.Done(); hold.Wait(); done.Add(1) })
	}
	begun.Wait()
	hold.Done()
	c.End()
	if done.Load() != tasks {
		t.Errorf("%d of %d tasks were done", done.Load(), tasks)
	}
}

func TestGoroutinesStayForTheNextTask(t *testing.T) {
	var c Crew
	rest := runtime.NumGoroutine()
	for range 2 {
		var all sync.WaitGroup
		for range 10 * maxIdle {
			all.Add(1)
			c.Run(func() { all.Done() })
		}
		all.Wait()
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= rest+maxIdle })
	c.mu.Lock()
	idle := len(c.idle)
	c.mu.Unlock()
	if idle == 0 {
		t.Error("none stayed")
	}
	for range 1000 { // one after the other: the one that is idle does all of them
		done := make(chan struct{})
		c.Run(func() { close(done) })
		<-done
		if n := runtime.NumGoroutine(); n > rest+maxIdle+1 {
			t.Fatalf("%d goroutines, %d before", n, rest)
		}
	}
	c.End()
	waitFor(t, func() bool { return runtime.NumGoroutine() <= rest })
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for range 1_000_000 {
		if what() {
			return
		}
		runtime.Gosched()
	}
	t.Fatal("it does not become true")
}

// BenchmarkDeepTask is a task that needs a larger stack than a goroutine has at
// first.
func BenchmarkDeepTask(b *testing.B) {
	var c Crew
	for name, run := range map[string]func(func()){"crew": c.Run, "go": func(f func()) { go f() }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			done := make(chan int)
			for b.Loop() {
				run(func() { done <- deep(40) })
				<-done
			}
		})
	}
	c.End()
}

//go:noinline
func deep(n int) int {
	var room [128]byte
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n%len(room)])
}
