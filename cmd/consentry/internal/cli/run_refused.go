package cli

import (
	"fmt"

	"github.com/spf13/pflag"
)

// refusals are flags of docker that would open a wall, and what there is
// instead. They are known so that the answer is a word and no typing error.
var refusals = []struct{ flag, why, hint string }{
	{"device", "an app gets no device of this machine", "share a folder with --share, or let it ask for data"},
	{"gpus", "an app gets no graphics processor: its driver is a way into the kernel", "run the model outside and let the app ask for its address"},
	{"privileged", "an app never gets the rights of this machine", "leave it out; the image's root may chown and change user inside without it"},
	{"cap-add", "an app's root has what it may have over its own ids, and nothing can be added", "leave it out"},
	{"security-opt", "the walls of an app are not taken down one by one", "consentry doctor shows which may be waived: --waive WALL"},
	{"network", "an app has its own network card, and you are asked about each connection", "leave it out; -p publishes a port"},
	{"net", "an app has its own network card, and you are asked about each connection", "leave it out; -p publishes a port"},
	{"pid", "an app sees its own processes only", "leave it out"},
	{"ipc", "an app has its own shared memory", "leave it out"},
	{"uts", "an app has its own host name", "leave it out"},
	{"userns", "an app has its own user ids", "leave it out"},
	{"cgroupns", "an app has its own control group", "leave it out"},
	{"cgroup-parent", "an app has its own control group", "leave it out"},
	{"add-host", "names are looked up after you allowed them, never before", "leave it out; host.consentry.internal is this computer"},
	{"dns", "names are answered by the app's router", "leave it out"},
	{"sysctl", "an app does not set the kernel's knobs", "leave it out"},
}

// refusedFlags remembers which of them were typed.
type refusedFlags struct{ typed string }

func (r *refusedFlags) add(flags *pflag.FlagSet) {
	for _, f := range refusals {
		flag := flags.VarPF(refusedFlag{r, f.flag}, f.flag, "", f.why)
		flag.Hidden = true
		if f.flag == "privileged" {
			flag.NoOptDefVal = "true"
		}
	}
}

func (r *refusedFlags) check() error {
	for _, f := range refusals {
		if f.flag == r.typed {
			return hinted(f.hint, fmt.Errorf("--%s: %s", f.flag, f.why))
		}
	}
	return nil
}

type refusedFlag struct {
	all  *refusedFlags
	name string
}

func (f refusedFlag) String() string { return "" }
func (f refusedFlag) Type() string   { return "string" }

func (f refusedFlag) Set(string) error {
	f.all.typed = f.name
	return nil
}
