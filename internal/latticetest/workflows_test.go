package latticetest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pinned  = regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	folders = regexp.MustCompile(`(?:^|\s)\./[\w/-]+`)
)

// TestWorkflows: what runs elsewhere with our rights is named by its commit, a
// job has no right that it does not ask for, and the folders it names are there.
func TestWorkflows(t *testing.T) {
	root := filepath.Join("..", "..")
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d workflows, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\npermissions: {contents: read}\n") {
			t.Errorf("%s: its jobs have every right", file)
		}
		for line := range strings.Lines(string(text)) {
			if _, action, found := strings.Cut(strings.TrimSpace(line), "uses: "); found && !pinned.MatchString(action) {
				t.Errorf("%s: %s is not pinned", file, action)
			}
			for _, folder := range folders.FindAllString(line, -1) {
				if _, err := os.Stat(filepath.Join(root, strings.TrimSpace(folder))); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}
