package agent

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holderOf names the process that has a port of the loopback addresses or of
// all, as far as /proc tells: "nginx (process 123)". It is "" when it does not.
func holderOf(udp bool, port uint16) string {
	tables := []string{"tcp", "tcp6"}
	if udp {
		tables = []string{"udp", "udp6"}
	}
	for _, table := range tables {
		if inode := inodeOf(filepath.Join("/proc/self/net", table), udp, port); inode != "" {
			if who := processWith("socket:[" + inode + "]"); who != "" {
				return who
			}
		}
	}
	return ""
}

// maxSockets bounds the lines that are looked at.
const maxSockets = 1 << 16

// inodeOf finds the socket that waits on port. A line of the table is
// "N: ADDRESS:PORT PEER STATE … UID TIMEOUT INODE …", numbers in hexadecimal.
func inodeOf(table string, udp bool, port uint16) string {
	file, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer file.Close()
	const listening, unconnected = "0A", "07"
	state := listening
	if udp {
		state = unconnected
	}
	lines := bufio.NewScanner(file)
	for n := 0; lines.Scan() && n < maxSockets; n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != state {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if got, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(got) == port {
			return fields[9]
		}
	}
	return ""
}

// processWith finds a process that has the file open.
func processWith(link string) string {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	for _, process := range processes {
		pid := process.Name()
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		files, err := os.ReadDir(filepath.Join("/proc", pid, "fd"))
		if err != nil {
			continue // it has gone, or is another user's
		}
		for _, file := range files {
			if to, err := os.Readlink(filepath.Join("/proc", pid, "fd", file.Name())); err == nil && to == link {
				name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
				return fmt.Sprintf("%q (process %s)", strings.TrimSpace(string(name)), pid)
			}
		}
	}
	return ""
}
