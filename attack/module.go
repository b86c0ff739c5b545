package attack

import "github.com/consentry/consentry/sandbox"

// Results of a module are errnos of WASI preview 1.
const (
	success      = "0"
	fault        = "21"
	invalid      = "28"
	nameTooLong  = "37"
	notPermitted = "63"
)

// Codes of a module's exit.
const (
	trapped = 128 + 6
	killed  = 128 + 9
)

// ModuleProbes are the attacks that attack/module, a WASI program, carries out
// on the host of modules. It has a folder to write as its first mount.
var ModuleProbes = []Probe{
	{Row: 48, Name: "links", Want: all(want(notPermitted, invalid),
		"make link out", "make absolute link", "make link out by a folder", "read through link", "read through absolute link",
		"create through link", "truncate through link", "dots", "dots behind a folder", "absolute", "stat through link",
		"unlink through link", "rename onto outside", "rename from outside", "link from outside", "mkdir outside")},
	{Row: 49, Name: "loop", Exit: sandbox.Exit{Code: killed}},
	{Row: 49, Name: "recursion", Exit: sandbox.Exit{Code: trapped}},
	{Row: 49, Name: "growth", Limits: sandbox.Limits{Memory: 64 << 20}, Want: all(want(success), "pages beyond 64 MiB")},
	{Row: 50, Name: "pointers", Want: all(want(fault, invalid, nameTooLong),
		"args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get", "fd_fdstat_get",
		"fd_filestat_get", "fd_prestat_get", "fd_prestat_dir_name", "fd_read", "fd_read of too many", "fd_write", "fd_readdir",
		"path_create_directory", "path_filestat_get", "path_link", "path_open", "path_open for nobody", "path_readlink",
		"path_remove_directory", "path_rename", "path_symlink", "path_unlink_file", "poll_oneoff", "random_get",
		"random_get of all", "email reason", "email buffer", "email length", "request", "http_fetch", "http_fetch for nobody")},
}

// ReadAttempts reads what a probe printed.
func ReadAttempts(output []byte) ([]Attempt, error) { return parse(output) }
