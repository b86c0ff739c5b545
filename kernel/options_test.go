package kernel

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// An option is one line of a configuration and why it is there.
type option struct {
	name  string // CONFIG_BPF_LSM
	value string // y, n, a number or a quoted text
	why   string // the comment above its group, in one line
}

// readOptions reads a configuration of groups: comment lines that say why, then
// CONFIG_NAME=VALUE lines, then an empty line. An option without a reason, one
// asked for twice and any other line is an error that names the line.
func readOptions(r io.Reader) ([]option, error) {
	var options []option
	seen := map[string]int{}
	var why []string
	inGroup := false
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		switch {
		case line == "":
			why, inGroup = nil, false
		case strings.HasPrefix(line, "#"):
			if inGroup {
				return nil, fmt.Errorf("line %d: a comment amid a group: begin a group of its own after an empty line", number)
			}
			why = append(why, strings.TrimSpace(strings.TrimPrefix(line, "#")))
		default:
			inGroup = true
			name, value, ok := strings.Cut(line, "=")
			switch {
			case !ok || !strings.HasPrefix(name, "CONFIG_") || value == "" || value == "m":
				return nil, fmt.Errorf("line %d: %q is not CONFIG_NAME=VALUE", number, line)
			case len(why) == 0:
				return nil, fmt.Errorf("line %d: nothing says why %s is there", number, name)
			case seen[name] != 0:
				return nil, fmt.Errorf("line %d: %s stands on line %d already", number, name, seen[name])
			}
			seen[name] = number
			options = append(options, option{name, value, strings.Join(why, " ")})
		}
	}
	return options, lines.Err()
}
