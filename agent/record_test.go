package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnfinishedRunsGo: what was being made or removed when the agent died is
// removed; a record that cannot be read may be somebody's, and stays.
func TestUnfinishedRunsGo(t *testing.T) {
	dir := t.TempDir()
	for name, record := range map[string]string{"unfinished": "", "damaged": "{", "others": `{"id":"x"}`} {
		if err := os.MkdirAll(filepath.Join(dir, name, "layer", "upper"), 0o700); err != nil {
			t.Fatal(err)
		}
		if record != "" {
			if err := writeRecord(filepath.Join(dir, name), []byte(record)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var log bytes.Buffer
	records, err := loadRecords(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || len(records) != 0 {
		t.Fatalf("%v, %v", records, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != "damaged" || left[1].Name() != "others" {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, said := range []string{"dir=unfinished", "dir=damaged", "dir=others"} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("%s is not in the log: %s", said, &log)
		}
	}
}
