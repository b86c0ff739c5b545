package worker

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLines bounds what is read of this process's own map.
const maxLines = 100_000

// startUp finds the pages of this program's code and constants, and returns
// what lets go of them: starting the whole program touched some twenty
// megabytes, of which routing needs a quarter. The kernel brings back, from its
// cache, what is used again.
func startUp() (forget func()) {
	parts := codeMappings()
	return func() {
		for _, p := range parts {
			// If the kernel says no, the pages stay.
			unix.Syscall(unix.SYS_MADVISE, p.start, p.end-p.start, unix.MADV_DONTNEED) //nolint:errcheck // as said
		}
	}
}

type mapping struct{ start, end uintptr }

// codeMappings lists what of this program's file is mapped without leave to
// write and without pages of our own: those of a position-independent program,
// changed when it was loaded, would come back as they are in the file. It is
// empty where /proc is not there.
func codeMappings() []mapping {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer file.Close()
	return readMappings(bufio.NewScanner(file), self)
}

func readMappings(lines *bufio.Scanner, self string) (parts []mapping) {
	var last mapping
	for n := 0; n < maxLines && lines.Scan(); n++ {
		line := lines.Text()
		if p, ok := codeMapping(line, self); ok {
			last = p
		}
		var kilobytes int
		if _, err := fmt.Sscanf(line, "Anonymous: %d kB", &kilobytes); err != nil {
			continue
		}
		if kilobytes == 0 && last.end > 0 {
			parts = append(parts, last)
		}
		last = mapping{}
	}
	return parts
}

// codeMapping reads the first line of a mapping (proc_pid_smaps(5)):
//
//	00400000-0165c000 r-xp 00000000 fe:00 3149 /usr/bin/consentry
func codeMapping(line, self string) (p mapping, ok bool) {
	var rights string
	if _, err := fmt.Sscanf(line, "%x-%x %s", &p.start, &p.end, &rights); err != nil {
		return mapping{}, false
	}
	readOnly := len(rights) == 4 && rights[0] == 'r' && rights[1] == '-'
	return p, readOnly && p.start < p.end && strings.HasSuffix(line, " "+self)
}
