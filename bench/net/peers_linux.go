package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// peer is one user-mode network.
type peer struct {
	name  string
	needs []string // programs
	start func(w *world, netns string, mtu int) (*network, error)
}

// network is a running peer.
type network struct {
	netns  string
	target string // the address under which the outer loopback is seen
	pid    int    // of the process that moves the bytes; 0 when that is not known
	stop   func()
}

var peers = []peer{
	{ours, nil, startRouter},
	{"pasta", []string{"pasta"}, startPasta},
	{"slirp4netns", []string{"slirp4netns"}, startSlirp},
	{"gvisor-tap-vsock", []string{"gvproxy", "vm"}, startTapVsock},
}

// missing names the first program that the peer lacks on this machine.
func (p peer) missing(tools string) string {
	for _, program := range p.needs {
		if _, err := exec.LookPath(program); err != nil {
			if _, err := os.Stat(filepath.Join(tools, program)); err != nil {
				return program
			}
		}
	}
	return ""
}

// up starts the peer in a namespace of its own and waits until it carries.
func (w *world) up(ctx context.Context, p peer, mtu int) (*network, error) {
	netns := fmt.Sprintf("%s-%d", w.name, mtu) + p.name[:1]
	if err := run("ip netns add " + netns + "\nip -n " + netns + " link set lo up"); err != nil {
		return nil, err
	}
	n, err := p.start(w, netns, mtu)
	if err != nil {
		run("ip netns del " + netns) //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	n.netns = netns
	stop := n.stop
	n.stop = func() {
		stop()
		run("ip netns del " + netns) //nolint:errcheck // the next run has other names
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, err = w.load(ctx, n, "connect", "1", "1"); err == nil {
			return n, nil
		}
		if time.Now().After(end) {
			n.stop()
			return nil, fmt.Errorf("%s does not carry: %w", p.name, err)
		}
	}
}

func startRouter(w *world, netns string, mtu int) (*network, error) {
	p, err := w.start("", "/proc/self/exe", "agent", "/run/netns/"+netns, "127.0.0.1:"+w.port, w.worker)
	if err != nil {
		return nil, err
	}
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(line)
	if err == nil {
		err = configure(netns, sandbox.LinkDevice, sandbox.AppMAC, sandbox.AppPrefix4, sandbox.Gateway4, mtu)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return &network{target: "93.184.216.34", pid: pid, stop: p.stop}, nil
}

func configure(netns, device, mac, address, gateway string, mtu int) error {
	return run(fmt.Sprintf(`ip -n %[1]s link set %[2]s address %[3]s mtu %[4]d up
ip -n %[1]s addr add %[5]s dev %[2]s
ip -n %[1]s route add default via %[6]s`, netns, device, mac, mtu, address, gateway))
}

// startPasta maps the gateway to the outer loopback; -T none turns splicing off.
func startPasta(w *world, netns string, mtu int) (*network, error) {
	p, err := w.start("", "pasta", "-f", "-q", "--config-net", "-4", "-t", "none", "-u", "none", "-T", "none", "-U", "none",
		"-m", strconv.Itoa(mtu), "--runas", "0", "--netns", "/run/netns/"+netns)
	if err != nil {
		return nil, err
	}
	return &network{target: "10.9.0.254", pid: p.cmd.Process.Pid, stop: p.kill}, nil
}

func startSlirp(w *world, netns string, mtu int) (*network, error) {
	p, err := w.start("", "slirp4netns", "--configure", "--mtu="+strconv.Itoa(mtu), "--netns-type=path", "/run/netns/"+netns, "tap0")
	if err != nil {
		return nil, err
	}
	return &network{target: "10.0.2.2", pid: p.cmd.Process.Pid, stop: p.kill}, nil
}

// startTapVsock runs gvproxy with its own forwarder in the namespace, over a
// unix socket instead of a vsock.
func startTapVsock(w *world, netns string, mtu int) (*network, error) {
	socket := w.socket(netns)
	proxy, err := w.start("", filepath.Join(w.tools, "gvproxy"), "-mtu", strconv.Itoa(mtu), "-listen", "unix://"+socket, "-ssh-port", "-1")
	if err != nil {
		return nil, err
	}
	if err := waitFor(socket); err != nil {
		proxy.kill()
		return nil, err
	}
	const mac = "5a:94:ef:e4:0c:ee" // to which gvproxy leases 192.168.127.2
	forwarder, err := w.start(netns, filepath.Join(w.tools, "vm"), "-url", "unix://"+socket, "-preexisting", "-iface", "tap0", "-mtu", strconv.Itoa(mtu))
	if err != nil {
		proxy.kill()
		return nil, err
	}
	stop := func() { forwarder.kill(); proxy.kill() }
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		if err = configure(netns, "tap0", mac, "192.168.127.2/24", "192.168.127.1", mtu); err == nil {
			break
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &network{target: "192.168.127.254", pid: proxy.cmd.Process.Pid, stop: stop}, nil
}

func waitFor(path string) error {
	for range 50 {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New(path + " does not appear")
}
