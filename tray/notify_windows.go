package tray

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"git.sr.ht/~jackmordaunt/go-toast/v2/wintoast"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// How Windows knows us: the installer's uninstaller removes both keys.
const (
	toastApp   = "Consentry"
	toastClass = "{9F1A6B0E-3F0C-4B56-9D55-6A1F0B7C2E41}"

	classesKey = `Software\Classes\`
)

// toasts is a Notifier that shows toasts. Windows tells of presses only: one
// that the user closes, or that has gone into the list of old ones, is as one
// that stands. It gives us no way to take one back, so what is pressed on a
// question that has gone names a nonce that nobody knows any more.
type toasts struct {
	push    chan pushed
	events  chan Event
	closing chan struct{}
	work    sync.WaitGroup

	mu    sync.Mutex
	last  uint32
	stand map[string]uint32 // nonce of a toast to the id of its notice
}

type pushed struct {
	xml  string
	done chan error
}

var errToastsClosed = errors.New("the notifications have ended")

func newToasts(program string) (Notifier, error) {
	if err := registerToasts(program); err != nil {
		return nil, fmt.Errorf("register for notifications: %w", err)
	}
	t := &toasts{
		push: make(chan pushed), events: make(chan Event, maxPrompts), closing: make(chan struct{}), stand: map[string]uint32{},
	}
	wintoast.SetActivationCallback(func(_, arguments string, _ []wintoast.UserData) { t.pressed(arguments) })
	t.work.Go(t.serve)
	return t, nil
}

// registerToasts writes what Windows looks for before it shows a toast of ours.
// wintoast writes no value twice, and none about a class that is not its own.
func registerToasts(program string) error {
	for _, v := range []struct{ key, name, value string }{
		{`AppUserModelId\` + toastApp, "DisplayName", toastApp},
		{`AppUserModelId\` + toastApp, "CustomActivator", toastClass},
		{`CLSID\` + toastClass + `\LocalServer32`, "", runLine(program)},
	} {
		key, _, err := registry.CreateKey(registry.CURRENT_USER, classesKey+v.key, registry.SET_VALUE)
		if err != nil {
			return err
		}
		err = key.SetStringValue(v.name, v.value)
		if closing := key.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
	}
	return wintoast.SetAppData(wintoast.AppData{AppID: toastApp, GUID: toastClass})
}

// runLine is a path as a command line: in quotes, or a folder with a space in
// its name would be a program and its arguments.
func runLine(program string) string { return `"` + program + `"` }

// serve pushes from one thread: the Windows Runtime is set up for a thread.
func (t *toasts) serve() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case p := <-t.push:
			p.done <- wintoast.Push(toastApp, p.xml) // never by PowerShell, which would read $(…)
		case <-t.closing:
			return
		}
	}
}

func (t *toasts) Show(n Notice, replaces uint32) (uint32, error) {
	nonce := rand.Text()
	text, err := toastXML(n, nonce)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	t.drop(replaces)
	t.last++
	id := t.last
	t.stand[nonce] = id
	t.mu.Unlock()
	p := pushed{text, make(chan error, 1)}
	select {
	case t.push <- p:
		err = <-p.done
	case <-t.closing:
		err = errToastsClosed
	}
	if err != nil {
		t.Withdraw(id) //nolint:errcheck // never fails
		return 0, err
	}
	return id, nil
}

// drop forgets the toasts of a notice; mu is held.
func (t *toasts) drop(id uint32) {
	for nonce, of := range t.stand {
		if of == id {
			delete(t.stand, nonce)
		}
	}
}

func (t *toasts) Withdraw(id uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(id)
	return nil
}

// pressed is called by a thread of Windows.
func (t *toasts) pressed(arguments string) {
	nonce, key, ok := toastAnswer(arguments)
	t.mu.Lock()
	id := t.stand[nonce]
	t.mu.Unlock()
	if !ok || id == 0 {
		return
	}
	select {
	case t.events <- Event{ID: id, Key: key}:
	case <-t.closing:
	}
}

func (t *toasts) Events() <-chan Event { return t.events }

func (t *toasts) Close() {
	close(t.closing)
	t.work.Wait()
}

var openInputDesktop = windows.NewLazySystemDLL("user32.dll").NewProc("OpenInputDesktop")
var closeDesktop = windows.NewLazySystemDLL("user32.dll").NewProc("CloseDesktop")

// screenLocked: while the screen is locked the desktop that has the input is one
// that programs of the user may not open.
func screenLocked(context.Context) (bool, error) {
	const readObjects = 1 // DESKTOP_READOBJECTS
	desktop, _, _ := openInputDesktop.Call(0, 0, readObjects)
	if desktop == 0 {
		return true, nil
	}
	closeDesktop.Call(desktop) //nolint:errcheck // it was only looked at
	return false, nil
}
