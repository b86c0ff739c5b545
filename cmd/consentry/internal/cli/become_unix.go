//go:build unix

package cli

import (
	"fmt"
	"os"
	"syscall"
)

// become turns this process into program: whoever watches this one, a service
// manager or a shell, then watches that. It returns only after an error.
func become(_ Streams, program string, args ...string) error {
	err := syscall.Exec(program, append([]string{program}, args...), os.Environ())
	return fmt.Errorf("start %s: %w", program, err)
}
