package rootless

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// scopeEnv is set in a process that systemd was asked to put into a scope.
const scopeEnv = "CONSENTRY_SCOPE"

// scopeTime bounds how long the user's systemd may take.
const scopeTime = 10 * time.Second

// errScoped: asking twice would go on for ever.
var errScoped = errors.New("the user's systemd gave a scope without the controllers pids and memory")

// Scope starts this program anew in a scope of the user's systemd, a cgroup that
// is delegated to it. It returns only where that cannot be, or if ctx has ended.
// The scope is tried with another program first: after exec nobody could go on
// without it.
func Scope(ctx context.Context) error {
	if os.Getenv(scopeEnv) != "" {
		return errScoped
	}
	tool := lookTool("systemd-run")
	if tool == "" {
		return errors.New("there is no systemd-run")
	}
	line := []string{tool, "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"}
	ctx, cancel := context.WithTimeout(ctx, scopeTime)
	defer cancel()
	try := append(append([]string{}, line[1:]...), "true")
	if out, err := exec.CommandContext(ctx, tool, try...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemd-run: %w: %.200s", err, strings.TrimSpace(string(out)))
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	err = unix.Exec(tool, append(append(line, self), os.Args[1:]...), append(os.Environ(), scopeEnv+"=1"))
	return fmt.Errorf("systemd-run: %w", err)
}
