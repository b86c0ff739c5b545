//go:build !unix

package cli

import (
	"errors"
	"fmt"
	"os/exec"
)

// become runs program in the place of this process, which ends as it does. A
// Ctrl-C reaches both.
func become(s Streams, program string, args ...string) error {
	_, _, release := takeSignals()
	defer release()
	cmd := exec.Command(program, args...) //nolint:noctx // it ends by itself, or with the console
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.In, s.Out, s.Err
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return exitCode(ended.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}
