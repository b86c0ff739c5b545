// Command data measures how fast apps get data that were granted: over HTTP from
// inside a sandbox, and from a module. It needs root, and clang for the module.
//
//	go run ./bench/data
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const email = "ada@example.org"

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bd") // short: the path of a socket is bounded
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{ctx: ctx, dir: dir}
	if err := b.build(); err != nil {
		return err
	}
	agent := b.command(b.path("consentry"), "agent", "--foreground")
	if err := agent.Start(); err != nil {
		return err
	}
	defer func() {
		agent.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended
		agent.Wait()                       //nolint:errcheck // how it ended tells nothing
	}()
	if err := b.listens(); err != nil {
		return err
	}
	if err := b.cli("profile", "set", "email="+email); err != nil {
		return err
	}
	if err := b.image(); err != nil {
		return err
	}
	return b.module()
}

type bench struct {
	ctx context.Context
	dir string
}

func (b bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b bench) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CONSENTRY_HOME="+b.path("home"), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func (b bench) build() error {
	for _, line := range [][]string{
		{"go", "build", "-o", b.dir + "/", "./cmd/consentry", "./cmd/consentry-agent", "./cmd/consentry-launch", "./cmd/consentry-worker"},
		{"go", "build", "-o", b.path("root") + "/client", "./bench/data/client"},
		{"go", "run", "./tools/mkimage", "-o", b.path("image"), "-folder", b.path("root") + "=/", "-cmd", "/client"},
		{"clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-Isdk/c", "-o", b.path("module.wasm"), "bench/data/module/main.c"},
	} {
		if err := b.command(line...).Run(); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

func (b bench) cli(args ...string) error {
	cmd := b.command(append([]string{b.path("consentry")}, args...)...)
	cmd.Stdout = os.Stdout
	return cmd.Run()
}

// listens waits for the agent: a command that comes before would start another.
func (b bench) listens() error {
	for range 100 {
		if conn, err := net.Dial("unix", filepath.Join(b.path("home"), "run", "agent.sock")); err == nil {
			return conn.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the agent does not listen")
}

func (b bench) image() error {
	if err := b.cli("run", "-d", "--quiet", "--no-input", "--waive", "ebpf-lsm", "--name", "app", b.path("image")); err != nil {
		return err
	}
	defer b.cli("rm", "-f", "app") //nolint:errcheck // the folder goes with it
	if err := b.cli("allow", "app", "data.identity", "email"); err != nil {
		return err
	}
	for _, connections := range []string{"1", "16"} {
		fmt.Printf("HTTP, %s connections: ", connections)
		if err := b.cli("exec", "app", "/client", "20000", connections); err != nil {
			return err
		}
	}
	return nil
}

func (b bench) module() error {
	if err := b.cli("allow", b.path("module.wasm"), "data.identity", "email"); err != nil {
		return err
	}
	fmt.Print("module, ns a call: ")
	return b.cli("run", "--rm", "--quiet", "--no-input", b.path("module.wasm"), "10000")
}
