//go:build linux

package linuxhost_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// testRole runs this binary as another process of a test.
func testRole(name string, args []string) (int, bool) {
	switch name {
	case "test-agent":
		return agentRole(args), true
	case "test-bare":
		return bareRole(args), true
	case "test-connect":
		return connectRole(args), true
	case "test-worker":
		return workerRole(args), true
	}
	return 0, false
}

// agentRole is an agent with one app: it says "up" and waits to be killed.
func agentRole(args []string) int {
	host := linuxhost.New(linuxhost.Config{Self: args[0], StateDir: args[1]})
	host.KeepReady(&lender{next: idBase + 1<<16})
	_, err := host.Start(context.Background(), sandbox.Spec{
		ID: "orphan", Name: "orphan", Waived: []string{sandbox.WaiveLSM},
		Process: sandbox.Process{Args: []string{"/bin/sleep", args[3]}, Stdio: [3]*os.File{}},
		Image:   &sandbox.Image{Lower: []string{args[2]}, IDBase: idBase},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for len(host.Ready()) < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("up")
	time.Sleep(time.Minute)
	return 0
}
