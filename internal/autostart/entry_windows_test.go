package autostart

import (
	"testing"

	"golang.org/x/sys/windows/registry"
)

// The box tells the truth about the Run key, also where the user has turned the
// entry off in the Task Manager.
func TestTheRunKey(t *testing.T) {
	e, err := Of(`C:\a b\consentry-tray.exe`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Set(false) })
	is := func(want bool, when string) {
		t.Helper()
		if on, err := e.On(); err != nil || on != want {
			t.Errorf("%s: %v %v", when, on, err)
		}
	}
	set := func(on bool) {
		t.Helper()
		if err := e.Set(on); err != nil {
			t.Fatal(err)
		}
	}
	set(false)
	is(false, "at first")
	set(true)
	is(true, "when it was set")
	other, err := Of(`C:\other.exe`)
	if err != nil {
		t.Fatal(err)
	}
	if on, _ := other.On(); on {
		t.Error("another program takes the entry for its own")
	}
	approved, _, err := registry.CreateKey(registry.CURRENT_USER, approvedKey, registry.SET_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer approved.Close()
	if err := approved.SetBinaryValue(runName, []byte{3, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	is(false, "when the user has turned it off")
	set(true)
	is(true, "when it was set again")
	set(false)
	is(false, "when it was taken away")
}
