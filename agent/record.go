package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// record is what is kept of a run between starts of the agent.
type record struct {
	api.Run
	Request api.RunRequest `json:"request"`
	App     app.App        `json:"app"`
	Spec    sandbox.Spec   `json:"spec"`
	// Isolation is what stands around an image: "vm", else the system's own walls.
	Isolation string `json:"isolation,omitempty"`
	// Slot numbers the block of host ids that belongs to this run alone.
	Slot uint32 `json:"slot"`
	// Stopped says that the user ended it: no restart policy brings it back.
	Stopped bool `json:"stopped,omitempty"`
	// Places are where it may ask for folders.
	Places []placeSpec `json:"places,omitempty"`
	// cutOff says that it was alive when the agent ended.
	cutOff bool
	// Check is what its health is judged by; nil for none.
	Check *api.HealthCheck `json:"check,omitempty"`
}

// Blocks of 65,536 host ids for apps. They lie in the range that systemd leaves
// to containers (524288–1879048191, "Users, Groups, UIDs and GIDs on systemd
// systems"), away from where useradd takes subordinate ids.
const (
	firstID  = 0x10000000
	idsOfApp = 1 << 16
	slots    = 0x1000
)

func idBase(slot uint32) uint32 { return firstID + slot*idsOfApp }

const recordFile = "run.json"

// writeRecord puts a record into its run's directory.
func writeRecord(dir string, record []byte) error {
	if err := atomicfile.Write(filepath.Join(dir, recordFile), record, 0o600); err != nil {
		return fmt.Errorf("run %s: %w", filepath.Base(dir), err)
	}
	return nil
}

// removeRun removes a run's directory, the record first: without it the rest is
// nothing, and goes at the agent's next start if it does not go now.
func removeRun(dir string) error {
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove run %s: %w", filepath.Base(dir), err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove run %s: %w", filepath.Base(dir), err)
	}
	return nil
}

// loadRecords reads all runs below dir. A run that was alive when the agent
// died is ended: its sandbox went with the agent. One without a record was being
// made or removed then, and goes; one whose record cannot be read is left alone
// and named in the log.
func loadRecords(dir string, log *slog.Logger) ([]*record, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	var records []*record
	for _, entry := range entries {
		rec, err := loadRecord(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) && entry.IsDir() {
			if err = removeRun(filepath.Join(dir, entry.Name())); err == nil {
				log.Info("removed what an unfinished run left", "dir", entry.Name())
				continue
			}
		}
		if err != nil {
			log.Warn("run left alone", "dir", entry.Name(), "error", err)
			continue
		}
		if !ended(rec.State) {
			rec.State, rec.cutOff = api.Exited, true
			rec.Exit = &sandbox.Exit{Code: 128 + int(sandbox.SIGKILL), Reason: "the agent ended"}
		}
		records = append(records, rec)
	}
	return records, nil
}

func loadRecord(dir string) (*record, error) {
	raw, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return nil, err
	}
	var rec record
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, err
	}
	if rec.ID != filepath.Base(dir) {
		return nil, fmt.Errorf("its record is of run %q", rec.ID)
	}
	return &rec, nil
}
