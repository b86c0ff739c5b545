package agent

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mountsBelow lists what is mounted below a folder, as this process sees it
// (proc_pid_mountinfo(5)).
func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var found []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		const mountPoint = 4
		fields := strings.Fields(lines.Text())
		if len(fields) <= mountPoint {
			continue
		}
		// Spaces, tabs, line ends and backslashes are in octal.
		at, err := strconv.Unquote(`"` + strings.ReplaceAll(fields[mountPoint], `"`, `\"`) + `"`)
		if err != nil {
			return nil, fmt.Errorf("look for mounts: %q: %w", fields[mountPoint], err)
		}
		if strings.HasPrefix(at, dir+"/") {
			found = append(found, at)
		}
	}
	return found, lines.Err()
}
