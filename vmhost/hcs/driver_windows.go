package hcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/Microsoft/go-winio"
	"github.com/Microsoft/go-winio/pkg/guid"
	"golang.org/x/sys/windows"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

// Config is what a Driver needs.
type Config struct {
	Dir string // where disks lie; the agent's own
	Log *slog.Logger
}

// Driver boots machines with the Host Compute Service.
type Driver struct{ config Config }

// New returns a Driver. It touches nothing until Check or Boot.
func New(config Config) *Driver {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Driver{config}
}

// Name is "hcs".
func (*Driver) Name() string { return "hcs" }

// Accelerated is true: Hyper-V has the processor itself, or is not there.
func (*Driver) Accelerated() bool { return true }

// Check names every missing part and its remedy.
func (d *Driver) Check(context.Context) error {
	errs := checkBuild(windows.RtlGetVersion().BuildNumber)
	if err := find(); err != nil {
		return errors.Join(errs, err)
	}
	return errors.Join(errs, checkUser())
}

// hyperVAdministrators is the well-known group (S-1-5-32-578).
const hyperVAdministrators = "S-1-5-32-578"

// checkUser: the service obeys administrators, and a group that one can join.
func checkUser() error {
	group, err := windows.StringToSid(hyperVAdministrators)
	if err != nil {
		return err
	}
	member, err := windows.Token(0).IsMember(group)
	if err == nil && !member && !windows.GetCurrentProcessToken().IsElevated() {
		return failed("who this is", accessDenied, "")
	}
	return nil
}

// Boot starts a machine.
func (d *Driver) Boot(ctx context.Context, c vmhost.Config) (vmhost.Machine, error) {
	if err := errors.Join(ctx.Err(), find()); err != nil {
		return nil, err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find this user: %w", err)
	}
	p, err := planOf(c, filepath.Join(d.config.Dir, "disks"), user.User.Sid.String())
	if err != nil {
		return nil, err
	}
	text, err := document(p)
	if err != nil {
		return nil, err
	}
	id := "consentry-" + c.Spec.ID
	s, err := newSystem(ctx, id, text)
	if err != nil {
		return nil, err
	}
	m := &machine{system: s, connected: make(chan struct{}), Ending: vmhost.NewEnding()}
	if err := m.boot(ctx, id, p); err != nil {
		//nolint:errcheck // the error is of the boot
		errors.Join(s.terminate(context.WithoutCancel(ctx)), m.hangUp())
		s.close()
		return nil, err
	}
	go m.await()
	return m, nil
}

// machine is one of the service's, and its connection.
type machine struct {
	*vmhost.Ending
	system   system
	listener net.Listener

	connected chan struct{} // closed when conn or refused is set
	mu        sync.Mutex
	conn      net.Conn
	refused   error
}

// boot lets the machine have its files, listens for it, and starts it.
func (m *machine) boot(ctx context.Context, id string, p plan) error {
	if err := grant(id, append([]string{p.kernel, p.initramfs}, p.disks...)...); err != nil {
		return err
	}
	said, err := m.system.properties(ctx)
	if err != nil {
		return err
	}
	address, err := addressOf(said)
	if err != nil {
		return err
	}
	listener, err := winio.ListenHvsock(address)
	if err != nil {
		return fmt.Errorf("socket of the machine: %w", err)
	}
	m.listener = listener
	go m.accept()
	return m.system.start(ctx)
}

// addressOf is where the guest of a machine calls: nobody else can.
func addressOf(properties string) (*winio.HvsockAddr, error) {
	var known struct {
		RuntimeID string `json:"RuntimeId"`
	}
	if err := json.Unmarshal([]byte(properties), &known); err != nil {
		return nil, fmt.Errorf("properties of the machine: %w", err)
	}
	id, err := guid.FromString(known.RuntimeID)
	if err != nil {
		return nil, fmt.Errorf("id of the machine %q: %w", known.RuntimeID, err)
	}
	return &winio.HvsockAddr{VMID: id, ServiceID: winio.VsockServiceID(guestwire.ControlVsock)}, nil
}

// accept takes the first connection, which guestinit makes before there is an
// app, and no other.
func (m *machine) accept() {
	defer close(m.connected)
	conn, err := m.listener.Accept()
	m.listener.Close() //nolint:errcheck // nobody else is to come
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn, m.refused = conn, err
	if conn != nil && m.Doomed() {
		conn.Close()
	}
}

func (m *machine) await() {
	said, err := m.system.wait()
	if err == nil {
		err = howItEnded(said)
	}
	m.hangUp() //nolint:errcheck // it may be closed
	m.system.close()
	m.Over(err)
}

// Control is the connection, once the guest has made it.
func (m *machine) Control() io.ReadWriteCloser { return control{m} }

type control struct{ m *machine }

func (c control) ready() (net.Conn, error) {
	<-c.m.connected
	return c.m.conn, c.m.refused
}

func (c control) Read(p []byte) (int, error) {
	conn, err := c.ready()
	if err != nil {
		return 0, err
	}
	return conn.Read(p)
}

func (c control) Write(p []byte) (int, error) {
	conn, err := c.ready()
	if err != nil {
		return 0, err
	}
	return conn.Write(p)
}

func (c control) Close() error { return c.m.hangUp() }

// hangUp ends the connection, or the wait for it.
func (m *machine) hangUp() error {
	if m.listener != nil {
		m.listener.Close() //nolint:errcheck // it may be closed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == nil {
		return nil
	}
	return m.conn.Close()
}

// Card is none: the guest sends frames over the connection.
func (*machine) Card() *os.File { return nil }

func (m *machine) Kill() error {
	m.Doom()
	select {
	case <-m.Gone():
		return nil
	default:
	}
	err := m.system.terminate(context.Background())
	m.hangUp() //nolint:errcheck // it may be closed
	if err != nil {
		return err // it may run on, so it is not waited for
	}
	<-m.Gone()
	return nil
}

// Walls are as the service says.
func (m *machine) Walls(ctx context.Context) ([]sandbox.Wall, error) {
	said, err := m.system.properties(ctx)
	if err != nil {
		return nil, err
	}
	return []sandbox.Wall{boundary(said)}, nil
}
