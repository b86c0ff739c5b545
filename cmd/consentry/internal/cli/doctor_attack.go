package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/sandbox"
)

// attackFolder lies beside this program: an image and a module that attack.
const attackFolder = "attack"

// attackFlags are those of doctor that an attacking app is run with.
type attackFlags struct {
	isolation string
	waive     []string
}

// attacked is what came of one attack.
type attacked struct {
	Row     int      `json:"row"` // of the threat table
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // image or module
	Held    bool     `json:"held"`
	Refused []string `json:"refused"` // what the attempts got
	Problem string   `json:"problem,omitempty"`
}

// attack runs every attack that needs no world outside in a sandbox of its own,
// as `consentry run` runs any app, and prints which wall stopped what.
func (c *cli) attack(ctx context.Context, f attackFlags, json bool) error {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	folder := filepath.Join(filepath.Dir(self), attackFolder)
	if _, err := os.Stat(filepath.Join(folder, "image")); err != nil {
		return hinted("make build puts it there", fmt.Errorf("no attacks at %s: %w", folder, cause(err)))
	}
	dir, err := os.MkdirTemp("", "consentry-attack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	outside, err := attack.NewOutside(dir)
	if err != nil {
		return err
	}
	defer outside.Close()
	var all []attacked
	each := func(kind string, p attack.Probe, args []string) {
		all = append(all, c.attackOnce(ctx, outside, kind, p, append([]string{self, "run", "--rm", "--quiet", "--no-input"}, args...)))
		if !json {
			c.printAttacked(all[len(all)-1])
		}
	}
	for _, p := range attack.Probes {
		if f.isolation == "vm" {
			p = p.OnGuestKernel()
		}
		each("image", p, slices.Concat(f.words(), imageAttack(p, outside), []string{filepath.Join(folder, "image"), attack.ProbePath, p.Name}, outside.Targets(os.Getpid())))
	}
	module := filepath.Join(folder, "probe.wasm")
	_, noModule := os.Stat(module)
	for _, p := range attack.ModuleProbes {
		if noModule == nil {
			each("module", p, slices.Concat(limits(p), []string{"--timeout", "3s", "--env", "PROBE=1", "--dir", outside.Module + "::/d", module, p.Name}))
		}
	}
	if json {
		err = printJSON(c.Out, all)
	} else if noModule != nil {
		fmt.Fprintf(c.Out, "%s rows 48 to 50 were not tried: no %s (make build writes it where clang and wasi-libc are)\n", c.out.yellow("–"), module)
	}
	broken := slices.DeleteFunc(all, func(a attacked) bool { return a.Held })
	if err == nil && len(broken) > 0 {
		err = exitCode(exitFault)
	}
	return err
}

func (f attackFlags) words() (list []string) {
	if f.isolation != "" {
		list = append(list, "--isolation", f.isolation)
	}
	for _, wall := range f.waive {
		list = append(list, "--waive", wall)
	}
	return list
}

func limits(p attack.Probe) (list []string) {
	if p.Limits.Memory > 0 {
		list = append(list, "--memory", strconv.FormatInt(p.Limits.Memory>>20, 10)+"m")
	}
	if p.Limits.PIDs > 0 {
		list = append(list, "--pids-limit", strconv.FormatInt(p.Limits.PIDs, 10))
	}
	return list
}

func imageAttack(p attack.Probe, o *attack.Outside) []string {
	list := append(limits(p), "--ephemeral", "--user", fmt.Sprintf("%d:%d", p.User.UID, p.User.GID), "--share", o.Shared+":/shared")
	if p.Own {
		list = append(list, "--share", o.Own+":/own:rw")
	}
	return list
}

// attackOnce carries out one attack and looks at both sides of it.
func (c *cli) attackOnce(ctx context.Context, outside *attack.Outside, kind string, p attack.Probe, line []string) attacked {
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	// A process group of its own: Ctrl-C ends this program, and that ends the app.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		err = nil
	}
	report := attack.Report{Exit: sandbox.Exit{Code: cmd.ProcessState.ExitCode()}, Stderr: complaint.String()}
	// SIGKILL comes from the memory's limit alone: nobody else ends these apps.
	report.Exit.OOM = p.Exit.OOM && report.Exit.Code == 128+int(syscall.SIGKILL)
	a := attacked{Row: p.Row, Name: p.Name, Kind: kind}
	if err == nil {
		report.Attempts, err = attack.Parse(out.Bytes())
	}
	if err = errors.Join(err, p.Judge(report), outside.Touched()); err != nil {
		a.Problem = err.Error()
	}
	a.Held = err == nil
	results := map[string]bool{}
	for _, try := range report.Attempts {
		results[try.Result] = true
	}
	a.Refused = slices.Sorted(maps.Keys(results))
	if len(a.Refused) == 0 && report.Exit.Code != 0 {
		a.Refused = []string{fmt.Sprintf("ended with code %d", report.Exit.Code)}
	}
	return a
}

func (c *cli) printAttacked(a attacked) {
	fmt.Fprintf(c.Out, "%s %2d %-15s %s\n", c.tick(a.Held), a.Row, a.Name, plain(strings.Join(a.Refused, ", ")))
	if a.Problem != "" {
		fmt.Fprintf(c.Out, "     %s\n", strings.ReplaceAll(plainLines(a.Problem), "\n", "\n     "))
	}
}
