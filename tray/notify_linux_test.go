package tray

import (
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// ownBus starts a session bus of the test's own.
func ownBus(t *testing.T) {
	t.Helper()
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:tmpdir="+t.TempDir())
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal("dbus-daemon: run make deps: ", err)
	}
	t.Cleanup(func() { daemon.Process.Kill(); daemon.Wait() })
	line := make([]byte, 512)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(string(line[:n])))
}

func connect(t *testing.T) *dbus.Conn {
	t.Helper()
	conn, err := sessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// service is a notification service that keeps what it is told.
type service struct {
	can   atomic.Value // []string
	asked chan []any
}

func (s *service) GetCapabilities() ([]string, *dbus.Error) { return s.can.Load().([]string), nil }

func (s *service) Notify(_ string, replaces uint32, _, title, body string, actions []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.asked <- []any{replaces, title, body, strings.Join(actions, "|")}
	return 7, nil
}

func (s *service) CloseNotification(id uint32) *dbus.Error {
	s.asked <- []any{"close", id}
	return nil
}

func serve(t *testing.T, name, path string, what any) *dbus.Conn {
	t.Helper()
	conn := connect(t)
	if err := conn.Export(what, dbus.ObjectPath(path), name); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return conn
}

// On a real bus: what the service is told, and whom the notifier believes.
func TestNotificationsOnABus(t *testing.T) {
	ownBus(t)
	ours := connect(t)
	n, err := newNotifier(ours)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Show(Notice{Title: "nobody shows this"}, 0); err == nil {
		t.Error("something was shown where there is no service")
	}
	s := &service{asked: make(chan []any, 16)}
	s.can.Store([]string{"body", "actions", "body-markup"})
	theirs := serve(t, notifyName, notifyPath, s)
	notice := NoticeOf(question("a", "Read /home/ada/<&>"))
	id, err := n.Show(notice, 3)
	if err != nil || id != 7 {
		t.Fatal(id, err)
	}
	asked := <-s.asked
	if asked[0] != uint32(3) || asked[1] != "Read /home/ada/<&>" || !strings.Contains(asked[2].(string), "evil &lt;b&gt;app&lt;/b&gt;") ||
		asked[3] != "allow|Allow once|deny|Deny once|details|Details…" {
		t.Errorf("the service was told %q", asked)
	}
	s.can.Store([]string{"body"})
	if _, err := n.Show(notice, 0); err != nil {
		t.Fatal(err)
	}
	if asked := <-s.asked; asked[3] != "" || !strings.Contains(asked[2].(string), "evil <b>app</b>") || !strings.Contains(asked[2].(string), "consentry allow a") {
		t.Errorf("a service without buttons and markup was told %q", asked)
	}
	if err := n.Withdraw(7); err != nil {
		t.Fatal(err)
	}
	if asked := <-s.asked; asked[0] != "close" || asked[1] != uint32(7) {
		t.Errorf("the service was told %q", asked)
	}

	stranger := connect(t)
	emit := func(conn *dbus.Conn, path, member string, values ...any) {
		t.Helper()
		if err := conn.Emit(dbus.ObjectPath(path), notifyName+"."+member, values...); err != nil {
			t.Fatal(err)
		}
	}
	emit(stranger, notifyPath, "ActionInvoked", uint32(7), keyAllow) // forged
	forge(t, stranger, ours.Names()[0], uint32(7), keyAllow)
	emit(theirs, "/other", "ActionInvoked", uint32(7), keyAllow)
	emit(theirs, notifyPath, "ActionInvoked", "7", keyAllow)
	emit(theirs, notifyPath, "ActionInvoked", uint32(7))
	emit(theirs, notifyPath, "ActionInvoked", uint32(7), uint32(1))
	emit(theirs, notifyPath, "NotificationClosed", uint32(7), "x")
	emit(theirs, notifyPath, "Unknown", uint32(7), keyAllow)
	emit(theirs, notifyPath, "ActionInvoked", uint32(7), keyDeny)
	emit(theirs, notifyPath, "NotificationClosed", uint32(7), uint32(2))
	for _, want := range []Event{{ID: 7, Key: keyDeny}, {ID: 7}} {
		select {
		case got := <-n.Events():
			if got != want {
				t.Errorf("event %+v, want %+v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no event")
		}
	}
	n.Close()
	if _, open := <-n.Events(); open {
		t.Error("an event after the end")
	}
}

type saver struct{ active atomic.Bool }

func (s *saver) GetActive() (bool, *dbus.Error) { return s.active.Load(), nil }

type silent struct{}

func (silent) GetActive() (bool, *dbus.Error) {
	return false, dbus.NewError("test.Broken", nil)
}

func TestTheLockedScreen(t *testing.T) {
	ownBus(t)
	s := screen{connect(t)}
	is := func(when string, want, faulty bool) {
		t.Helper()
		if locked, err := s.locked(t.Context()); locked != want || (err != nil) != faulty {
			t.Errorf("%s: %v %v", when, locked, err)
		}
	}
	is("nobody knows", false, false)
	service := &saver{}
	serve(t, "org.gnome.ScreenSaver", "/org/gnome/ScreenSaver", service)
	is("open", false, false)
	service.active.Store(true)
	is("locked", true, false)
	service.active.Store(false)
	serve(t, "org.xfce.ScreenSaver", "/org/xfce/ScreenSaver", silent{})
	is("one does not say", true, true)
}

func TestWithoutASession(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if _, err := sessionBus(); err == nil {
		t.Error("a session where there is none")
	}
}

// forge sends a signal to one connection alone: the bus delivers it whatever
// that connection wants to hear.
func forge(t *testing.T, from *dbus.Conn, to string, values ...any) {
	t.Helper()
	message := &dbus.Message{Type: dbus.TypeSignal, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(notifyPath)),
		dbus.FieldInterface: dbus.MakeVariant(notifyName), dbus.FieldMember: dbus.MakeVariant("ActionInvoked"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(values...)),
	}}
	if call := from.Send(message, nil); call != nil && call.Err != nil {
		t.Fatal(call.Err)
	}
}
