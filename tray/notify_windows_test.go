package tray

import (
	"strings"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// What Windows is told of us, and what a press on a toast is worth. Wine has no
// toasts, so no more of them is tried.
func TestToastsOfWindows(t *testing.T) {
	const program = `C:\a folder\consentry-tray.exe`
	n, err := newToasts(program)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	read := func(key, name string) string {
		k, err := registry.OpenKey(registry.CURRENT_USER, classesKey+key, registry.QUERY_VALUE)
		if err != nil {
			t.Fatal(key, err)
		}
		defer k.Close()
		value, _, err := k.GetStringValue(name)
		if err != nil {
			t.Fatal(key, err)
		}
		return value
	}
	if got := read(`AppUserModelId\`+toastApp, "CustomActivator"); !strings.EqualFold(got, toastClass) {
		t.Errorf("the class is %s", got)
	}
	if got := read(`CLSID\`+toastClass+`\LocalServer32`, ""); got != `"`+program+`"` {
		t.Errorf("the program is %s", got)
	}
	toasts := n.(*toasts)
	toasts.mu.Lock()
	toasts.stand["N"] = 7
	toasts.mu.Unlock()
	for _, arguments := range []string{"M.allow", "N.always", "N.allow"} {
		toasts.pressed(arguments)
	}
	if e := <-n.Events(); e != (Event{ID: 7, Key: keyAllow}) || len(n.Events()) != 0 {
		t.Errorf("heard %+v and %d more", e, len(n.Events()))
	}
	if err := n.Withdraw(7); err != nil {
		t.Fatal(err)
	}
	toasts.pressed("N.allow")
	if len(n.Events()) != 0 {
		t.Error("a question that has gone is answered")
	}
	if locked, err := screenLocked(t.Context()); err != nil || locked {
		t.Errorf("locked: %v %v", locked, err)
	}
}
