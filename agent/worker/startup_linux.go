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

// startUp finds the pages of this program's constants and tables, and returns
// what lets go of them: where the kernel keeps files in huge pages, starting the
// program maps all of them, megabytes of which routing needs little. The kernel
// brings back, from its cache and in small pages, what is used again. Code stays
// in huge pages, which are faster.
func startUp() (forget func()) {
	parts := constants()
	return func() {
		for _, p := range parts {
			for _, advice := range []uintptr{unix.MADV_NOHUGEPAGE, unix.MADV_DONTNEED} {
				// If the kernel says no, the pages stay.
				unix.Syscall(unix.SYS_MADVISE, p.start, p.end-p.start, advice) //nolint:errcheck // as said
			}
		}
	}
}

type mapping struct{ start, end uintptr }

// constants lists what of this program's file is mapped to be read alone, and is
// without pages of our own: those of a position-independent program,
// changed when it was loaded, would come back as they are in the file. It is
// empty where /proc is not there.
func constants() []mapping {
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
		if p, ok := constantsIn(line, self); ok {
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

// constantsIn reads the first line of a mapping (proc_pid_smaps(5)):
//
//	010f7000-01ef9000 r--p 00cf7000 fe:00 3149 /usr/bin/consentry
func constantsIn(line, self string) (p mapping, ok bool) {
	var rights string
	if _, err := fmt.Sscanf(line, "%x-%x %s", &p.start, &p.end, &rights); err != nil {
		return mapping{}, false
	}
	return p, rights == "r--p" && p.start < p.end && strings.HasSuffix(line, " "+self)
}
