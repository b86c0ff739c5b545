package tray

import (
	"context"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"
)

const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = "/org/freedesktop/Notifications"

	signalQueue = 64
)

// bus is a Notifier by the desktop notifications specification
// (https://specifications.freedesktop.org/notification-spec).
//
// Anybody on the session's bus can send a signal that looks like that of the
// service. Only those of the connection that owns its name are believed, and
// only in their exact form.
type bus struct {
	conn    *dbus.Conn
	object  dbus.BusObject
	signals chan *dbus.Signal
	events  chan Event
	closing chan struct{}
	done    chan struct{}
}

// newNotifier listens to the service. It need not be there yet: a session starts
// its programs in no order, and the bus may start it when it is asked.
func newNotifier(conn *dbus.Conn) (Notifier, error) {
	b := &bus{
		conn: conn, object: conn.Object(notifyName, notifyPath), signals: make(chan *dbus.Signal, signalQueue),
		events: make(chan Event, signalQueue), closing: make(chan struct{}), done: make(chan struct{}),
	}
	err := conn.AddMatchSignal(dbus.WithMatchSender(notifyName), dbus.WithMatchObjectPath(notifyPath), dbus.WithMatchInterface(notifyName))
	if err != nil {
		return nil, fmt.Errorf("signals of notifications: %w", err)
	}
	conn.Signal(b.signals)
	go b.read()
	return b, nil
}

func (b *bus) call(method string, result any, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	call := b.object.CallWithContext(ctx, notifyName+"."+method, 0, args...)
	if result == nil || call.Err != nil {
		return call.Err
	}
	return call.Store(result)
}

// capabilities are asked for each time: the service may be another one by now.
func (b *bus) capabilities() (list []string, err error) {
	err = b.call("GetCapabilities", &list)
	return list, err
}

// Show: urgency and time are such that the question stays until it is answered.
func (b *bus) Show(n Notice, replaces uint32) (id uint32, err error) {
	can, err := b.capabilities()
	if err != nil {
		return 0, err
	}
	title, body, actions := render(n, can)
	hints := map[string]dbus.Variant{
		"urgency": dbus.MakeVariant(byte(1)), "category": dbus.MakeVariant("im"), "resident": dbus.MakeVariant(false),
		"desktop-entry": dbus.MakeVariant("consentry"),
	}
	const never = int32(0)
	err = b.call("Notify", &id, "Consentry", replaces, "dialog-question", title, body, actions, hints, never)
	return id, err
}

// render writes a notice as the service can show it.
func render(n Notice, can []string) (title, body string, actions []string) {
	title, body, actions = n.Title, n.Body, []string{}
	if !slices.Contains(can, "actions") {
		body += n.Otherwise
	} else {
		for _, button := range n.Buttons {
			actions = append(actions, button.Key, button.Label)
		}
	}
	if slices.Contains(can, "body-markup") {
		body = markup(body)
	}
	return title, body, actions
}

func (b *bus) Withdraw(id uint32) error { return b.call("CloseNotification", nil, id) }

func (b *bus) Events() <-chan Event { return b.events }

func (b *bus) Close() {
	close(b.closing)
	<-b.done
	b.conn.Close() //nolint:errcheck // it was all said
}

func (b *bus) read() {
	defer close(b.done)
	defer close(b.events)
	for {
		select {
		case signal, open := <-b.signals:
			if !open {
				return
			}
			event, ok := eventOf(signal)
			if !ok || !b.genuine(signal) {
				continue
			}
			select {
			case b.events <- event:
			case <-b.closing:
				return
			}
		case <-b.closing:
			return
		}
	}
}

// genuine says whether a signal came from who owns the name now. The match rule
// does not: a signal that is sent to us alone comes whatever we match.
func (b *bus) genuine(s *dbus.Signal) bool {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	var owner string
	err := b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, notifyName).Store(&owner)
	return err == nil && owner != "" && s.Sender == owner
}

// eventOf reads a signal; what is not exactly as specified is none.
func eventOf(s *dbus.Signal) (Event, bool) {
	if s == nil || s.Path != notifyPath || len(s.Body) != 2 {
		return Event{}, false
	}
	id, ok := s.Body[0].(uint32)
	if !ok || id == 0 {
		return Event{}, false
	}
	switch s.Name {
	case notifyName + ".ActionInvoked":
		key, ok := s.Body[1].(string)
		return Event{ID: id, Key: key}, ok && key != ""
	case notifyName + ".NotificationClosed":
		_, ok := s.Body[1].(uint32)
		return Event{ID: id}, ok
	}
	return Event{}, false
}
