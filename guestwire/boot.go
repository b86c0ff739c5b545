package guestwire

import (
	"fmt"
	"strconv"
	"strings"
)

// ControlVsock is the port of the host on which guestinit calls, where the
// machine has sockets (vsock(7)) and no virtio-serial port.
const ControlVsock = 1963

// BootLine is what the kernel's command line says to guestinit. The zero value
// is a machine with virtio devices, which need no telling.
type BootLine struct {
	Port  uint32 // vsock port of the host for the connection; 0: virtio-serial
	Disks int    // SCSI disks, each the ext4 image of a layer
}

const (
	portWord  = "consentry.vsock="
	disksWord = "consentry.disks="
)

// maxDisks is what a SCSI controller takes.
const maxDisks = 64

// String is the part of a command line.
func (b BootLine) String() string {
	if b == (BootLine{}) {
		return ""
	}
	return fmt.Sprintf("%s%d %s%d", portWord, b.Port, disksWord, b.Disks)
}

// ParseBootLine reads a command line; what is not ours is passed over.
func ParseBootLine(line string) (b BootLine, err error) {
	for _, word := range strings.Fields(line) {
		if text, found := strings.CutPrefix(word, portWord); found {
			port, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return b, fmt.Errorf("kernel command line: %s: %w", word, err)
			}
			b.Port = uint32(port)
		}
		if text, found := strings.CutPrefix(word, disksWord); found {
			if b.Disks, err = strconv.Atoi(text); err != nil || b.Disks < 0 || b.Disks > maxDisks {
				return b, fmt.Errorf("kernel command line: %s: want 0 to %d", word, maxDisks)
			}
		}
	}
	return b, nil
}
