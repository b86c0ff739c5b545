package latticetest

// rule says what the packages at and below a folder may import of this module.
type rule struct {
	folder string
	may    []string // folders; "*" is every folder
}

// base is what everything stands on: no policy, no process, no network of its own.
var base = []string{"app", "internal"}

// contract adds what hosts and the ways out share.
var contract = append([]string{"sandbox"}, base...)

// rules are looked up by the longest folder that holds a package. A folder may
// always import itself. What is in no folder of this list is a violation, so
// that a new folder is given its place on purpose.
var rules = []rule{
	{"app", nil},
	{"internal", base},
	{"sandbox", base},
	{"guestwire", contract},
	{"oci", contract},
	{"consent", base},
	{"kernel", base},

	{"router", contract},
	{"data", with(contract, "sdk")},
	{"share", contract},
	{"linuxhost", contract},
	{"wasmhost", with(contract, "data", "sdk")},
	{"vmhost", with(contract, "guestwire", "share")},
	{"vmhost/qemu", with(contract, "guestwire", "linuxhost", "vmhost", "share")}, // mounts the app's files
	{"vmhost/hcs", with(contract, "guestwire", "vmhost", "share")},
	{"vmhost/vz", with(contract, "guestwire", "vmhost", "share")},
	{"vmhost/wsl", with(contract, "guestwire", "vmhost", "share")},
	{"guestinit", with(contract, "guestwire", "linuxhost")},

	{"agent/api", contract},
	{"agent/ipc", with(contract, "agent/api")},
	{"agent/client", with(contract, "agent/api", "agent/ipc")},
	// The page: a client of the local API like any other.
	{"agent/console", with(contract, "agent/api", "agent/client", "data")},
	// The confined processes of one run: hostile bytes, so no consent, no store.
	{"agent/portal", contract},
	{"agent/worker", with(contract, "agent/portal", "router", "wasmhost", "data", "share", "linuxhost")},
	{"agent/launcher", with(contract, "linuxhost", "vmhost", "guestwire")},
	{"agent", with(contract, "consent", "oci", "router", "data", "share", "kernel",
		"linuxhost", "wasmhost", "vmhost", "guestwire",
		"agent/api", "agent/ipc", "agent/portal", "agent/worker", "agent/launcher")},

	{"tray", with(base, "agent/api", "agent/client")},
	{"cmd", []string{"*"}},
	{"sdk", []string{"app"}},
	{"examples", []string{"app", "sdk"}},

	// They test or build the rest and are part of no process of a user.
	{"attack", []string{"*"}},
	{"bench", []string{"*"}},
	{"tools", []string{"*"}},
	{"packaging", nil},
	{"internal/testworld", []string{"*"}},
	{"internal/asuser", with(base, "internal/vmtest")},
	{"internal/vmtest", []string{"*"}},
	{"internal/story", []string{"*"}},
	{"internal/latticetest", nil},
}

// testOnly folders are imported by tests and by each other, never by what ships.
var testOnly = []string{"internal/testworld", "internal/vmtest", "internal/story", "internal/latticetest", "internal/faultfs", "internal/wasmgen", "internal/asuser", "internal/tartext", "internal/browser", "internal/longtest"}

// ban forbids a way from one folder to another, by whatever detour.
type ban struct {
	from, to string
	except   []string
}

var bans = []ban{
	{from: "linuxhost", to: "consent"},
	{from: "wasmhost", to: "consent"},
	{from: "vmhost", to: "consent"},
	{from: "agent/worker", to: "consent"},
	{from: "agent/portal", to: "consent"},
	{from: "tray", to: "agent", except: []string{"agent/api", "agent/ipc", "agent/client"}},
	// The command line begins once for every command: it is a client and no more.
	{from: "cmd/consentry", to: "agent", except: []string{"agent/api", "agent/ipc", "agent/client"}},
	{from: "cmd/consentry", to: "consent", except: []string{"consent/chain"}},
	{from: "cmd/consentry", to: "linuxhost"},
	{from: "cmd/consentry", to: "wasmhost"},
	{from: "cmd/consentry", to: "router"},
	{from: "agent/console", to: "agent", except: []string{"agent/api", "agent/ipc", "agent/client"}},
	{from: "agent/console", to: "consent"},
	{from: "guestinit", to: "agent"},
	{from: "guestinit", to: "consent"},
	{from: "guestinit", to: "oci"},
}

// directBan forbids a package of the standard library to a folder.
type directBan struct {
	folder, path string
}

var directBans = []directBan{
	{"app", "net"},
	{"app", "os"},
	{"app", "os/exec"},
	{"consent", "net"},
	{"consent", "net/http"},
	{"consent", "os/exec"},
	{"agent/api", "net"},
	{"agent/api", "net/http"},
}

func with(folders []string, more ...string) []string {
	return append(append([]string{}, folders...), more...)
}
