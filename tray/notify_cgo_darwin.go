//go:build darwin && cgo

package tray

/*
#cgo CFLAGS: -x objective-c -fobjc-arc
#cgo LDFLAGS: -framework Foundation -framework UserNotifications
#include <stdlib.h>
#include "notify_darwin.h"
*/
import "C"

import (
	"errors"
	"strings"
	"sync"
	"unsafe"
)

// center is a Notifier by UNUserNotificationCenter, for a program in a bundle
// (https://developer.apple.com/documentation/usernotifications). A yes wants an
// unlocked screen: macOS asks for that itself.
type center struct {
	events  chan Event
	closing chan struct{}

	mu    sync.Mutex
	last  uint32
	stand map[uint32]bool
}

var (
	errNoBundle = errors.New("this program is not in a bundle: macOS shows notifications of bundles only")
	errNotGiven = errors.New("macOS does not show it: allow notifications of Consentry in System Settings")
)

// There is one center for a process, and callbacks of C carry no Go pointers.
var (
	theCenterMu sync.Mutex
	theCenter   *center
)

func newCenter() (Notifier, error) {
	if C.consentry_notify_start() == 0 {
		return nil, errNoBundle
	}
	c := &center{events: make(chan Event, maxPrompts), closing: make(chan struct{}), stand: map[uint32]bool{}}
	theCenterMu.Lock()
	theCenter = c
	theCenterMu.Unlock()
	return c, nil
}

func (c *center) Show(n Notice, replaces uint32) (uint32, error) {
	c.mu.Lock()
	id := replaces // a notification of the same id is replaced
	if id == 0 {
		c.last++
		id = c.last
	}
	c.stand[id] = true
	c.mu.Unlock()
	var lines []string // neither keys nor labels have line ends: they are ours
	for _, b := range n.Buttons {
		lines = append(lines, b.Key, b.Label)
	}
	title, body, buttons := C.CString(n.Title), C.CString(n.Body), C.CString(strings.Join(lines, "\n"))
	defer C.free(unsafe.Pointer(title))
	defer C.free(unsafe.Pointer(body))
	defer C.free(unsafe.Pointer(buttons))
	if C.consentry_notify_show(C.uint(id), title, body, buttons) == 0 {
		c.Withdraw(id) //nolint:errcheck // never fails
		return 0, errNotGiven
	}
	return id, nil
}

func (c *center) Withdraw(id uint32) error {
	c.mu.Lock()
	delete(c.stand, id)
	c.mu.Unlock()
	C.consentry_notify_withdraw(C.uint(id))
	return nil
}

func (c *center) Events() <-chan Event { return c.events }

func (c *center) Close() {
	theCenterMu.Lock()
	theCenter = nil
	theCenterMu.Unlock()
	close(c.closing)
}

// consentryNotifyPressed is called by a thread of the system. key is "" for one
// that the user has closed.
//
//export consentryNotifyPressed
func consentryNotifyPressed(id C.uint, key *C.char) {
	theCenterMu.Lock()
	c := theCenter
	theCenterMu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	stands := c.stand[uint32(id)]
	c.mu.Unlock()
	if !stands {
		return
	}
	select {
	case c.events <- Event{ID: uint32(id), Key: C.GoString(key)}:
	case <-c.closing:
	}
}
