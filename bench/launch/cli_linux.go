package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// cli is the command line program, with an agent of its own that runs already.
type cli struct {
	program, image string
	env            []string
	ran            bool // since the last wait
}

// cliPause lets the agent make the next sandbox ready.
const cliPause = 300 * time.Millisecond

func newCLI(dir, root, program string) (*cli, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	c := &cli{program: program, image: filepath.Join(dir, "image")}
	c.env = append(os.Environ(), "CONSENTRY_HOME="+filepath.Join(dir, "home"))
	out, err := exec.Command("go", "run", "./tools/mkimage", "-o", c.image, "-folder", root+"=/", "-cmd", "/bin/true").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make an image: %w: %s", err, out)
	}
	return c, c.run(0) // it starts the agent, which unpacks the image
}

func (c *cli) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.program, args...)
	cmd.Env = c.env
	return cmd
}

func (c *cli) run(int) error {
	c.ran = true
	out, err := c.command("run", "--rm", "--no-input", "--waive", "ebpf-lsm", c.image).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("consentry run: %w: %s", err, out)
	}
	return err
}

func (c *cli) wait() error {
	if c.ran {
		time.Sleep(cliPause)
	}
	c.ran = false
	return nil
}

// end stops the agent.
func (c *cli) end() {
	out, err := c.command("version", "--json").Output()
	var version struct{ Agent struct{ PID int } }
	err = errors.Join(err, json.Unmarshal(out, &version))
	pid := version.Agent.PID
	if err == nil && pid > 1 {
		err = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "launch: stop the agent:", err)
		return
	}
	for began := time.Now(); pid > 1 && syscall.Kill(pid, 0) == nil; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > readyTime {
			fmt.Fprintln(os.Stderr, "launch: the agent does not end")
			return
		}
	}
}
