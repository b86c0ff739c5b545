package cli

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/consentry/consentry/agent/api"
)

// moduleFlags are those flags of run that only wasm modules know.
type moduleFlags struct {
	call, invoke, input string
	config, dirs        []string
	timeout, cpuTime    time.Duration
	openFiles           int
	flags               *pflag.FlagSet
}

func (f *moduleFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.dirs, "dir", nil, "wasm: give a folder to read and write: `DIR[::/inside]`")
	flags.DurationVar(&f.timeout, "timeout", 0, "wasm: end the run after this time, such as 30s")
	flags.DurationVar(&f.cpuTime, "cpu-time", 0, "wasm: end the run when it has used this much processor time, such as 10s")
	flags.IntVar(&f.openFiles, "open-files", 0, "wasm: files it may have open at once")
	f.addCall(flags)
}

// addCall adds the flags that may stand behind the file as well.
func (f *moduleFlags) addCall(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.call, "call", "", "wasm: call a `FUNCTION` of an Extism plugin; without --input it gets standard input")
	flags.StringVar(&f.invoke, "invoke", "", "wasm: call an exported `FUNCTION` with numbers and print what it gives")
	flags.StringVar(&f.input, "input", "", "wasm: the input of --call")
	flags.StringArrayVar(&f.config, "config", nil, "wasm: configuration for --call: `K=V`")
}

// behind takes the flags of a call that stand behind the file, as plugin
// authors write them: consentry run plugin.wasm --call NAME --input TEXT. Only
// --call and --invoke begin such flags; anything else is the app's.
func (f *moduleFlags) behind(file string, args []string) ([]string, error) {
	if len(args) == 0 || !strings.HasSuffix(strings.ToLower(file), ".wasm") {
		return args, nil
	}
	first, _, _ := strings.Cut(args[0], "=")
	if first != "--call" && first != "--invoke" {
		return args, nil
	}
	set := pflag.NewFlagSet("call", pflag.ContinueOnError)
	set.SetInterspersed(false)
	f.addCall(set)
	if err := set.Parse(args); err != nil {
		return nil, hinted("put -- before arguments of the app's own", err)
	}
	return set.Args(), nil
}

// apply puts the flags into a request.
func (f *moduleFlags) apply(r *api.RunRequest, cwd string) error {
	// A command without these flags, such as install, makes requests as well.
	given := f.flags != nil && f.flags.Changed("input")
	r.Limits.Wall, r.Limits.CPU, r.Limits.Files = f.timeout, f.cpuTime, f.openFiles
	for _, text := range f.dirs {
		r.Shares = append(r.Shares, moduleDir(text, cwd))
	}
	switch {
	case f.timeout < 0:
		return badFlag("--timeout", f.timeout.String(), "less than nothing", "--timeout 30s")
	case f.cpuTime < 0:
		return badFlag("--cpu-time", f.cpuTime.String(), "less than nothing", "--cpu-time 10s")
	case f.openFiles < 0:
		return badFlag("--open-files", strconv.Itoa(f.openFiles), "less than nothing", "--open-files 4096")
	case f.call != "" && f.invoke != "":
		return hinted("leave one of them out", fmt.Errorf("--call and --invoke exclude each other"))
	case f.invoke != "":
		r.Call = &api.ModuleCall{Function: f.invoke}
	case f.call != "":
		r.Call = &api.ModuleCall{Function: f.call, Plugin: true, Input: []byte(f.input), Stdin: !given && r.Stdin, Config: map[string]string{}}
	case given || len(f.config) > 0:
		return hinted("name the function with --call", fmt.Errorf("--input and --config are for --call"))
	}
	for _, text := range f.config {
		key, value, ok := strings.Cut(text, "=")
		if !ok || r.Call == nil || !r.Call.Plugin {
			return badFlag("--config", text, "want K=V, with --call", "--config level=3")
		}
		r.Call.Config[key] = value
	}
	return nil
}

// moduleDir reads a folder as other runtimes' --dir does: the current one is
// the root inside, any other has the same name inside, unless one is given.
func moduleDir(text, cwd string) api.Share {
	dir, inside, given := strings.Cut(text, "::")
	if !given {
		inside = filepath.ToSlash(dir)
	}
	return api.Share{Source: absolute(cwd, dir), Target: path.Clean("/" + inside), Write: true}
}

// piped says whether standard input is a file or a pipe, which a module then
// gets as any other program would.
func piped(in *os.File) bool {
	info, err := in.Stat()
	return err == nil && (info.Mode().IsRegular() || info.Mode()&os.ModeNamedPipe != 0)
}
