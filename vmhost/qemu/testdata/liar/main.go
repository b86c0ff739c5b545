// Command liar is the first process of a guest whose kernel was taken over: it
// greets as it should, and then does what the app's arguments say.
package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

var walls = []sandbox.Wall{{Name: "all of them", Required: true, Stands: true, Detail: "believe me\x1b[2J"}}

func main() {
	for _, m := range []struct{ kind, at string }{{"devtmpfs", "/dev"}, {"sysfs", "/sys"}} {
		//nolint:errcheck // the port is not found then
		unix.Mount(m.kind, m.at, m.kind, 0, "")
	}
	if err := lie(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	}
	//nolint:errcheck // it is over either way
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// port is the control port, once it is there.
func port() (*os.File, error) {
	for range 5000 {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && string(bytes.TrimSpace(text)) == guestwire.ControlPort {
				return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), os.O_RDWR|unix.O_NONBLOCK, 0)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil, errors.New("no control port")
}

func lie() error {
	control, err := port()
	if err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // until QEMU has connected it
	ctx := context.Background()
	does := make(chan string, 1)
	peer, err := guestwire.Greet(ctx, control, guestwire.Hello{Kernel: "6.12", Walls: walls}, func(ctx context.Context, c *guestwire.Call) error {
		switch c.Verb {
		case guestwire.VerbStart:
			var call guestwire.Start
			if err := c.Read(&call); err != nil {
				return err
			}
			if err := c.Answer(nil); err != nil {
				return err
			}
			does <- call.Spec.Process.Args[0]
			return nil
		case guestwire.VerbWait:
			<-ctx.Done()
			return ctx.Err()
		}
		return c.Answer(sandbox.Posture{Walls: walls})
	})
	if err != nil {
		return err
	}
	go peer.Serve(ctx)
	what := <-does
	time.Sleep(time.Second) // until the host takes the app for one that runs
	switch what {
	case "panic":
		os.Exit(1) // of process 1
	case "lengths": // of the multiplexer's, and of messages
		for {
			if _, err := control.Write(bytes.Repeat([]byte{0xff}, 1<<16)); err != nil {
				return err
			}
		}
	case "again": // another control connection
		if _, err := port(); err == nil {
			os.Stderr.WriteString("the port opens twice\n")
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := guestwire.Greet(ctx, control, guestwire.Hello{Kernel: "other", Walls: walls}, nil)
		return err
	}
	select {}
}
