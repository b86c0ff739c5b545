package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/sandbox"
)

// runFlags are the flags of run as they were typed.
type runFlags struct {
	ports, csp, env, envFiles, volumes, shares, waive, presets                   []string
	isolation                                                                    string
	name, memory, user, workDir, entrypoint, pull, platform, answer, learnOut    string
	cpus                                                                         float64
	pids                                                                         int64
	hold                                                                         time.Duration
	restart                                                                      string
	health                                                                       healthFlags
	refused                                                                      refusedFlags
	module                                                                       moduleFlags
	ephemeral, publishAll                                                        bool
	detach, interactive, terminal, remove, noInput, json, quiet, entrySet, learn bool
	bandwidth, verify                                                            string
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:     "run [flags] IMAGE|DIR|ARCHIVE.tar|FILE.wasm [args]",
		GroupID: groupApps,
		Short:   "Run an app; it gets nothing that you do not allow",
		Long: `Run an OCI image (from a registry, an OCI layout or an archive) or a WebAssembly
module. It starts without network, files or data of yours. What it wants, you
are asked; it waits meanwhile.

Without a terminal the questions are printed, and answered by consentry allow
and consentry deny. The exit code is the app's; 125 is an error of ours.`,
		Example: `  consentry run -it docker.io/library/python:3
  consentry run -p 8080 -e KEY=value ./page.tar
  consentry run --share ./photos:rw resize.wasm /share/photos
  consentry run -d --name bot --memory 512m example.com/bot`,
		Args:              need(1, -1, "the image or the wasm file", "consentry run -it docker.io/library/alpine"),
		Annotations:       map[string]string{passesCode: "1"},
		ValidArgsFunction: c.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.entrySet = cmd.Flags().Changed("entrypoint")
			return c.runApp(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringArrayVarP(&f.ports, "publish", "p", nil, "serve a port of the app at http://localhost: `[HOST:]APP[/http|raw|udp]`")
	flags.StringVar(&f.verify, "verify", "", "the image must be signed by the key in this `FILE`, now and later")
	flags.BoolVarP(&f.publishAll, "publish-all", "P", false, "serve every port that the image exposes, on free ports")
	flags.StringArrayVar(&f.csp, "csp", nil, "Content-Security-Policy of the app's pages: `[PORT=]on|off|report`")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "set a variable: `K=V`, or K to pass yours on")
	flags.StringArrayVar(&f.envFiles, "env-file", nil, "read variables from a `FILE`")
	flags.StringArrayVarP(&f.volumes, "volume", "v", nil, "mount a volume `NAME:/path[:ro]`, or share DIR:/path[:rw]")
	flags.StringArrayVar(&f.shares, "share", nil, "share a folder, read-only: `DIR[:/target][:rw]`; with :ask or :ask-rw the app has to ask for it")
	f.module.add(flags)
	flags.StringVar(&f.name, "name", "", "a name for the run")
	flags.BoolVarP(&f.detach, "detach", "d", false, "print the id and leave the app running")
	flags.BoolVarP(&f.interactive, "interactive", "i", false, "the app gets your input")
	flags.BoolVarP(&f.terminal, "tty", "t", false, "the app gets a terminal")
	flags.BoolVar(&f.remove, "rm", false, "remove the run when it has ended")
	flags.StringVar(&f.memory, "memory", "", "memory it may use, such as 512m")
	flags.Float64Var(&f.cpus, "cpus", 0, "processors it may use, such as 1.5")
	flags.Int64Var(&f.pids, "pids-limit", 0, "processes it may have")
	flags.StringVar(&f.restart, "restart", "", "start it again when it ends: `no|on-failure[:N]|always|unless-stopped`")
	f.health.add(flags)
	f.refused.add(flags)
	flags.BoolVar(&f.ephemeral, "ephemeral", false, "keep what the app writes in memory, and forget it at its end")
	flags.StringArrayVar(&f.waive, "waive", nil, "do without a `WALL` that this machine cannot raise, such as ebpf-lsm, for this app, now and later; it is written into the ledger")
	flags.StringVar(&f.isolation, "isolation", "", "what stands around an image: `auto|native|vm`")
	flags.StringVarP(&f.user, "user", "u", "", "user inside: name or uid, `USER[:GROUP]`")
	flags.StringVarP(&f.workDir, "workdir", "w", "", "folder inside to start in")
	flags.StringVar(&f.entrypoint, "entrypoint", "", "program to run instead of the image's; \"\" for none")
	flags.StringVar(&f.bandwidth, "bandwidth", "", "what it may move each way, in bytes a second: `RATE`, such as 512k or 10m")
	flags.DurationVar(&f.hold, "hold", 0, "how long a request waits for your answer, such as 30s")
	flags.BoolVar(&f.noInput, "no-input", false, "never ask: what is not granted already is denied")
	flags.BoolVar(&f.learn, "learn", false, "ask nothing, deny what is not granted, and print a manifest for what was asked for")
	flags.StringVar(&f.learnOut, "learn-out", "", "with --learn: write the manifest to a `FILE`")
	flags.StringVar(&f.answer, "answer", "", "answer every question of this run with `allow|deny`, once each: for demos and scripts")
	flags.StringArrayVar(&f.presets, "preset", nil, "give the rules of a preset, until the app exits: `NAME` of consentry presets")
	flags.StringVar(&f.pull, "pull", "", "when to ask the registry: `missing|always|never`")
	flags.StringVar(&f.platform, "platform", "", "platform of the image, such as linux/arm64")
	flags.BoolVar(&f.json, "json", false, "print events as NDJSON instead of the output")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	c.completeFlag(cmd, "pull", "missing", "always", "never")
	c.completeFlag(cmd, "answer", "allow", "deny")
	c.completeFlag(cmd, "isolation", "auto", "native", "vm")
	c.completeFlag(cmd, "restart", "no", "on-failure", "always", "unless-stopped")
	c.completeFlag(cmd, "waive", sandbox.WaiveCgroup, sandbox.WaiveLSM)
	return cmd
}

func (c *cli) runApp(ctx context.Context, f runFlags, args []string) error {
	cwd, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the current folder: %w", err)
	}
	if strings.HasSuffix(strings.ToLower(args[0]), ".wasm") && piped(c.In) && !f.detach {
		f.interactive = true
	}
	request, err := f.request(args, cwd, os.LookupEnv)
	if err != nil {
		return err
	}
	if f.terminal && f.interactive && !term.IsTerminal(int(c.In.Fd())) {
		return hinted("leave -t out in scripts: consentry run -i", fmt.Errorf("-t wants a terminal and standard input is none"))
	}
	request.Size, _ = windowSize(c.Out, c.In)
	cl, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	var run api.Run
	code, err := c.runOnce(ctx, cl, request, f, &run)
	if walls := c.waived(err, f); len(walls) > 0 {
		request.Waive = append(request.Waive, walls...)
		code, err = c.runOnce(ctx, cl, request, f, &run)
	}
	if f.learn {
		err = errors.Join(err, c.printLearned(ctx, cl, run, f))
	}
	return ended(code, err)
}

func (c *cli) runOnce(ctx context.Context, cl *client.Client, request api.RunRequest, f runFlags, run *api.Run) (int, error) {
	stream, err := cl.Run(ctx, request)
	if err != nil {
		return 0, err
	}
	return c.converse(ctx, cl, stream, mode{
		Stdin: f.interactive, Terminal: f.terminal, Detach: f.detach, JSON: f.json, Quiet: f.quiet,
		Answer: f.answer, Name: f.name, Run: run,
	})
}

// ended makes the app's exit code that of the program.
func ended(code int, err error) error {
	if err == nil && code != 0 {
		return exitCode(code)
	}
	return err
}

// request checks the flags and turns them into the agent's words.
func (f *runFlags) request(args []string, cwd string, lookup func(string) (string, bool)) (r api.RunRequest, err error) {
	if err := f.refused.check(); err != nil {
		return r, err
	}
	if err := f.check(); err != nil {
		return r, err
	}
	rest, err := f.module.behind(args[0], args[1:])
	if err != nil {
		return r, err
	}
	r = api.RunRequest{
		Args: rest, Name: f.name, Detach: f.detach, Stdin: f.interactive, Terminal: f.terminal,
		Remove: f.remove, User: f.user, WorkDir: f.workDir, Hold: f.hold, NoInput: f.noInput,
		Pull: f.pull, Platform: f.platform, Isolation: f.isolation, Waive: f.waive, Presets: f.presets, Learn: f.learn, Ephemeral: f.ephemeral, PublishAll: f.publishAll,
	}
	r.Limits.CPUs, r.Limits.PIDs = f.cpus, f.pids
	if f.entrySet {
		r.Entrypoint = []string{f.entrypoint}
	}
	if r.Source, err = source(args[0], cwd); err != nil {
		return r, err
	}
	if r.Verify, err = keyFile(f.verify); err != nil {
		return r, err
	}
	r.Restart, r.NoHealth = f.restart, f.health.none
	if r.Health, err = f.health.check(); err != nil {
		return r, err
	}
	if err := f.module.apply(&r, cwd); err != nil {
		return r, err
	}
	if f.memory != "" {
		if r.Limits.Memory, err = parseMemory(f.memory); err != nil {
			return r, err
		}
	}
	if f.bandwidth != "" {
		if r.Bandwidth, err = parseBandwidth(f.bandwidth); err != nil {
			return r, err
		}
	}
	if r.Env, err = environment(f.envFiles, f.env, lookup); err != nil {
		return r, err
	}
	return r, f.mounts(&r, cwd)
}

// mounts reads what names ports, volumes and folders.
func (f *runFlags) mounts(r *api.RunRequest, cwd string) error {
	for _, text := range f.ports {
		port, err := parsePort(text)
		if err != nil {
			return err
		}
		r.Ports = append(r.Ports, port)
	}
	if err := setCSP(r.Ports, f.csp); err != nil {
		return err
	}
	for _, text := range f.volumes {
		volume, share, err := parseVolume(text, cwd)
		switch {
		case err != nil:
			return err
		case share != nil:
			r.Shares = append(r.Shares, *share)
		default:
			r.Volumes = append(r.Volumes, *volume)
		}
	}
	for _, text := range f.shares {
		share, err := parseShare(text, cwd)
		if err != nil {
			return err
		}
		r.Shares = append(r.Shares, share)
	}
	return sharesExist(r.Shares)
}

func sharesExist(shares []api.Share) error {
	for _, s := range shares {
		if info, err := os.Stat(s.Source); err != nil {
			return hinted("make it first: mkdir -p "+s.Source, fmt.Errorf("shared folder %s: %w", s.Source, cause(err)))
		} else if !info.IsDir() {
			return hinted("share the folder it is in", fmt.Errorf("%s is not a folder", s.Source))
		}
	}
	return nil
}

// Compiled at their first use, as most commands do without.
var (
	nameRule     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`) })
	platformRule = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`) })
)

// check refuses values that no agent would take, and flags that contradict each other.
func (f *runFlags) check() error {
	switch {
	case f.name != "" && !nameRule().MatchString(f.name):
		return badFlag("--name", f.name, "a name has letters, digits, '_', '.' and '-', and at most 63 of them", "--name web-1")
	case f.cpus < 0:
		return badFlag("--cpus", fmt.Sprint(f.cpus), "less than nothing", "--cpus 1.5")
	case f.pids < 0:
		return badFlag("--pids-limit", fmt.Sprint(f.pids), "less than nothing", "--pids-limit 200")
	case f.hold < 0:
		return badFlag("--hold", f.hold.String(), "less than nothing", "--hold 30s")
	case f.workDir != "" && f.workDir[0] != '/':
		return badFlag("--workdir", f.workDir, "not an absolute path inside the app", "--workdir /srv")
	case f.pull != "" && f.pull != "missing" && f.pull != "always" && f.pull != "never":
		return badFlag("--pull", f.pull, "there are missing, always and never", "--pull always")
	case f.platform != "" && !platformRule().MatchString(f.platform):
		return badFlag("--platform", f.platform, "want system/processor", "--platform linux/arm64")
	case f.answer != "" && f.answer != "allow" && f.answer != "deny":
		return badFlag("--answer", f.answer, "there are allow and deny", "--answer deny")
	}
	return f.checkPairs()
}

func (f *runFlags) checkPairs() error {
	for _, pair := range []struct {
		both bool
		what string
		hint string
	}{
		{f.detach && f.answer != "", "-d and --answer exclude each other: nobody is left to answer", "leave -d out, or answer with consentry allow ID"},
		{f.noInput && f.answer != "", "--no-input and --answer exclude each other", "--no-input denies by itself"},
		{f.detach && f.interactive && !f.terminal, "-d and -i exclude each other: the app would get no input", "leave one of them out"},
		{f.learn && f.detach, "--learn and -d exclude each other: the manifest is printed when the app has ended", "leave -d out"},
		{f.learn && f.answer != "", "--learn and --answer exclude each other", "--learn asks nothing"},
		{f.learnOut != "" && !f.learn, "--learn-out is for --learn", "consentry run --learn --learn-out app.manifest.json IMAGE"},
		{f.json && f.terminal, "--json and -t exclude each other", "leave one of them out"},
	} {
		if pair.both {
			return hinted(pair.hint, fmt.Errorf("%s", pair.what))
		}
	}
	return nil
}
