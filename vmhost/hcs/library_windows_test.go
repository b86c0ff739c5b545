//go:build wine

package hcs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unsafe"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

// scripts/test-wine.sh puts testdata/computecore.c, built, in the place of the
// library. Its handles are 77 (operations) and 4711 (the machine).

// tempDir stays: Wine 8 cannot do what Go removes folders by.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hcs-test-*")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// pretend sets what the library answers, and returns what it was called with.
func pretend(t *testing.T, mode string) (calls func() []string) {
	t.Helper()
	log := filepath.Join(tempDir(t), "calls")
	t.Setenv("PRETEND_HCS", mode)
	t.Setenv("PRETEND_HCS_LOG", log)
	return func() []string {
		raw, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		units := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(raw))), len(raw)/2)
		all := strings.Split(strings.TrimSuffix(string(utf16.Decode(units)), "\x1e"), "\x1e")
		for i := range all {
			all[i] = strings.TrimRight(strings.ReplaceAll(all[i], "\t", "|"), "|")
		}
		return all
	}
}

// TestAbsent runs before the library is there.
func TestAbsent(t *testing.T) {
	if find() == nil {
		t.Fatal("the pretend library is in place already")
	}
	d := New(Config{Dir: tempDir(t)})
	for what, err := range map[string]error{"Check": d.Check(t.Context()), "Boot": func() error {
		_, err := d.Boot(t.Context(), vmhost.Config{})
		return err
	}()} {
		if !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "Microsoft-Hyper-V") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestLibraryCalls: every argument arrives as it was meant, and every handle is
// closed.
func TestLibraryCalls(t *testing.T) {
	calls := pretend(t, "")
	const text = `{"a":"ü 中"}`
	s, err := newSystem(t.Context(), "consentry-run1", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	said, err := s.properties(t.Context())
	if address, badID := addressOf(said); err != nil || badID != nil || address.VMID.String() != "8a3b6ff1-7d6f-4d6e-9c5d-0f5c6d1b2a3c" || address.ServiceID.String() != "000007ab-facb-11e6-bd58-64006a7986d3" {
		t.Errorf("%q, %+v, %v, %v", said, address, err, badID)
	}
	if err := errors.Join(grant("consentry-run1", `C:\a b\kernel`), s.start(t.Context()), s.terminate(t.Context())); err != nil {
		t.Error(err)
	}
	if end, err := s.wait(); err != nil || howItEnded(end) != nil {
		t.Errorf("%q, %v", end, err)
	}
	s.close()
	around := func(call string) []string {
		return []string{"operation|0", call, "wait operation|77", "close operation|77"}
	}
	want := slices.Concat(
		around("create|77|consentry-run1|"+text), around("properties|4788"),
		[]string{`grant|0|consentry-run1|C:\a b\kernel`},
		around("start|4788"), around("terminate|4788"), []string{"wait|4711", "close|4711"},
	)
	if got := calls(); !slices.Equal(got, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRefusals: what the service says becomes what the user can do, at once or
// after a while, and what was made is closed.
func TestRefusals(t *testing.T) {
	for mode, want := range map[string]string{"denied": "Hyper-V Administrators", "later": "Microsoft-Hyper-V"} {
		calls := pretend(t, mode)
		_, err := newSystem(t.Context(), "consentry-run1", []byte("{}"))
		if !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
		closed := slices.Contains(calls(), "close|4711")
		if closed != (mode == "later") || !slices.Contains(calls(), "close operation|77") {
			t.Errorf("%s: calls %q", mode, calls())
		}
	}
	pretend(t, "ended")
	if err := (system{4711}).terminate(t.Context()); err != nil {
		t.Errorf("one that has ended: %v", err)
	}
}

// TestBoot gets as far as the socket, which Wine has not: the machine that was
// made is ended and closed.
func TestBoot(t *testing.T) {
	calls := pretend(t, "")
	layer := filepath.Join(tempDir(t), "layer.ext4")
	if err := os.WriteFile(layer, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	d := New(Config{Dir: tempDir(t)})
	c := vmhost.Config{Kernel: `C:\kernel`, Initramfs: `C:\initramfs`, Memory: 512 << 20, CPUs: 2, Spec: sandbox.Spec{ID: "run1", Image: &sandbox.Image{Lower: []string{layer}}}}
	m, err := d.Boot(t.Context(), c)
	if err == nil {
		t.Fatalf("it runs; its end: %v", m.Kill())
	}
	if !strings.Contains(err.Error(), "socket of the machine") {
		t.Error(err)
	}
	got := calls()
	if !slices.ContainsFunc(got, func(call string) bool {
		return strings.HasPrefix(call, "create|77|consentry-run1|{") && strings.Contains(call, `"KernelFilePath": "C:\\kernel"`)
	}) || got[len(got)-1] != "close|4711" || !slices.Contains(got, "terminate|4788") {
		t.Errorf("calls %q", got)
	}
	grants := fmt.Sprint(slices.ContainsFunc(got, func(call string) bool { return strings.HasSuffix(call, `disks\layer.ext4.vhd`) }))
	if grants != "true" {
		t.Errorf("the disk was not granted: %q", got)
	}
}
