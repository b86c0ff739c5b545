// Command consentry-bpf loads the eBPF programs that judge the apps of agents that
// are not root. It is started by root, keeps three capabilities, and answers on a
// socket: see linuxhost/bpfd.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/linuxhost/bpfd"
)

const usage = `consentry-bpf loads eBPF programs for agents that are not root.
systemd starts it (packaging/systemd/consentry-bpf.socket); without systemd, as root: consentry-bpf -listen ` + bpfd.SocketPath + `
`

func main() {
	flags := flag.NewFlagSet("consentry-bpf", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	listen := flags.String("listen", "", "make this socket, where systemd passes none")
	pins := flags.String("pins", bpf.PinsOfUsers, "directory of the pins, in the BPF file system")
	idle := flags.Duration("idle", time.Minute, "end when nobody was connected for so long; 0 is never")
	//nolint:errcheck // it ends the program by itself
	flags.Parse(os.Args[1:])
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(*listen, *pins, *idle, log); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-bpf:", err)
		os.Exit(1)
	}
}

func run(listen, pins string, idle time.Duration, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	l, err := socket(listen)
	if err != nil {
		return err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false) // of systemd, or of the next of us
	if listen != "" {
		idle = 0 // nobody would start it again
	}
	if err := bpfd.Prepare(pins); err != nil {
		return err
	}
	if err := linuxhost.ConfineFences(pins); err != nil {
		return err
	}
	server, err := bpfd.NewServer(bpfd.Config{Pins: pins, Log: log, Idle: idle})
	if err != nil {
		return err
	}
	log.Info("serves", "socket", l.Addr().String())
	return server.Serve(ctx, l)
}

func socket(listen string) (*net.UnixListener, error) {
	l, err := bpfd.Inherited()
	if l != nil || err != nil {
		return l, err
	}
	if listen == "" {
		return nil, fmt.Errorf("no socket was passed; without systemd: -listen %s", bpfd.SocketPath)
	}
	return bpfd.Listen(listen)
}
