// Package crew runs short tasks on goroutines that stay for the next one. The
// stack of a new goroutine is copied once or twice before it has the size that a
// task needs, which costs more than the goroutine itself.
package crew

import "sync"

// Crew is ready for use when it is zero.
type Crew struct {
	mu   sync.Mutex
	idle []chan func()
	over bool
	wg   sync.WaitGroup // of those that are idle, or ran a task
}

// maxIdle is how many goroutines wait for a task. Each holds a stack.
const maxIdle = 16

// Run does not wait for task.
func (c *Crew) Run(task func()) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		next := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		next <- task
		return
	}
	c.mu.Unlock()
	c.wg.Go(func() { c.work(task) })
}

func (c *Crew) work(task func()) {
	tasks := make(chan func(), 1)
	for task != nil {
		task()
		if !c.await(tasks) {
			return
		}
		task = <-tasks
	}
}

// await says whether there can be another task.
func (c *Crew) await(tasks chan func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || len(c.idle) >= maxIdle {
		return false
	}
	c.idle = append(c.idle, tasks)
	return true
}

// End waits for the tasks that run, and comes after the last one was begun.
func (c *Crew) End() {
	c.mu.Lock()
	c.over = true
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, tasks := range idle {
		close(tasks)
	}
	c.wg.Wait()
}
