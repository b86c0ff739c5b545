package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// world is the outer namespace with the server.
type world struct {
	name   string
	port   string
	server *process
	dir    string // for sockets
	tools  string // where gvproxy and gvforwarder are
	worker string // program whose worker routes
}

// newWorld takes this program for the worker when worker is "".
func newWorld(tools, worker string) (*world, error) {
	w := &world{name: fmt.Sprintf("bench%d", os.Getpid()), tools: tools, worker: worker}
	var err error
	if worker == "" {
		if w.worker, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	if w.dir, err = os.MkdirTemp("", "bench-net"); err != nil {
		return nil, err
	}
	// pasta wants a card with a default route to copy.
	err = run(fmt.Sprintf(`ip netns add %[1]s
ip -n %[1]s link set lo up
ip -n %[1]s link add up0 type veth peer name up1
ip -n %[1]s addr add 10.9.0.1/24 dev up0
ip -n %[1]s link set up0 up
ip -n %[1]s link set up1 up
ip -n %[1]s route add default via 10.9.0.254`, w.name))
	if err == nil {
		w.server, err = w.start("", "/proc/self/exe", "serve")
	}
	if err == nil {
		w.port, err = w.server.line()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) close() {
	if w.server != nil {
		w.server.stop()
	}
	run("ip netns del " + w.name) //nolint:errcheck // it may never have been there
	os.RemoveAll(w.dir)
}

func run(script string) error {
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", firstLine(script), err, out)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// process is a child that says things on stdout and ends when stdin does.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs a program in the network namespace: the world's for "".
func (w *world) start(netns, name string, args ...string) (*process, error) {
	if netns == "" {
		netns = w.name
	}
	if name == "/proc/self/exe" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		name = self
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", netns, name}, args...)...)
	if os.Getenv("BENCH_VERBOSE") != "" {
		cmd.Stderr = os.Stderr
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (p *process) line() (string, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.cmd.Args[4], errors.Join(err, p.cmd.Wait()))
	}
	return strings.TrimSpace(line), nil
}

// stop closes stdin, and kills what does not end by that.
func (p *process) stop() {
	p.in.Close()
	kill := time.AfterFunc(2*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	p.cmd.Wait()
}

// kill is for programs that do not mind stdin.
func (p *process) kill() {
	p.cmd.Process.Signal(os.Interrupt)
	p.stop()
}

// loadTime is many times what the longest load takes.
const loadTime = 20 * time.Second

// load runs one load in a peer's namespace and returns its figures.
func (w *world) load(ctx context.Context, n *network, args ...string) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all := append([]string{"netns", "exec", n.netns, self, "load", n.target + ":" + w.port}, args...)
	out, err := exec.CommandContext(ctx, "ip", all...).Output()
	if err != nil {
		return nil, fmt.Errorf("load %v: %w", args, err)
	}
	var figures []float64
	for word := range strings.FieldsSeq(string(out)) {
		f, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func (w *world) socket(name string) string { return filepath.Join(w.dir, name) }
