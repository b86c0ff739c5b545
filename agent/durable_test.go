package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
)

// A module that is in the store is not written again, unless what is stored
// under its digest is something else.
func TestStoredModuleIsNotWrittenAgain(t *testing.T) {
	m, err := openModules(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(source, []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func() (app.App, fs.FileInfo) {
		t.Helper()
		module, err := m.add(source)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(m.path(module.Digest))
		if err != nil {
			t.Fatal(err)
		}
		return module, info
	}
	module, first := add()
	again, second := add()
	if again != module || !os.SameFile(first, second) {
		t.Errorf("%v and %v; one file: %t", module, again, os.SameFile(first, second))
	}
	if err := os.WriteFile(m.path(module.Digest), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, healed := add(); healed.Size() != first.Size() {
		t.Errorf("a damaged module stays: %d bytes", healed.Size())
	}
}

// The record of a run that is removed at its end is written once, and the next
// start of the agent removes it, wherever the run was; another's follows it.
func TestRecordsOfMoves(t *testing.T) {
	for _, remove := range []bool{true, false} {
		dir := t.TempDir()
		rec := &record{Run: api.Run{ID: filepath.Base(dir), State: api.Created}, Request: api.RunRequest{Remove: remove}}
		if err := rec.save(dir); err != nil {
			t.Fatal(err)
		}
		r := &run{agent: &Agent{}, dir: dir, rec: *rec}
		if err := r.move(evStart, nil); err != nil {
			t.Fatal(err)
		}
		kept, err := loadRecord(dir)
		if err != nil {
			t.Fatal(err)
		}
		if moved := kept.State == api.Starting; moved == remove || kept.Request.Remove != remove {
			t.Errorf("remove %t: the record is %s", remove, kept.State)
		}
	}
}
