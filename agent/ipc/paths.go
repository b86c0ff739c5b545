package ipc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// HomeEnv names the variable that moves everything of Consentry to one folder.
const HomeEnv = "CONSENTRY_HOME"

// Paths are the folders of one agent.
type Paths struct {
	Data    string // images, volumes, store, ledger
	Runtime string // socket, lock, log; need not survive a restart of the machine
	Socket  string // of the local API
}

// Log is the file that an agent started in the background writes to.
func (p Paths) Log() string { return filepath.Join(p.Runtime, "agent.log") }

// Presets is the folder of the user's own presets.
func (p Paths) Presets() string { return filepath.Join(p.Data, "presets") }

// Registries is the file of the user's settings about registries.
func (p Paths) Registries() string { return filepath.Join(p.Data, "registries.json") }

// LockFile is the file whose lock the running agent holds.
func (p Paths) LockFile() string { return filepath.Join(p.Runtime, "agent.lock") }

// User is what the path rules need to know of the one who asks.
type User struct {
	UID  int
	Home string
	Env  func(string) string
}

// Find returns the paths for this process. A home that is not empty wins over
// the rules of the system; callers pass the value of HomeEnv.
func Find(home string) (Paths, error) {
	if home != "" {
		abs, err := filepath.Abs(home)
		if err != nil {
			return Paths{}, fmt.Errorf("%s: %w", HomeEnv, err)
		}
		return checked(InHome(abs))
	}
	dir, err := os.UserHomeDir()
	if err != nil && userID() != 0 {
		return Paths{}, fmt.Errorf("find the home folder (or set %s): %w", HomeEnv, err)
	}
	p, err := systemPaths(User{UID: userID(), Home: dir, Env: os.Getenv})
	if err != nil {
		return Paths{}, err
	}
	return checked(p)
}

// InHome puts everything below one folder.
func InHome(home string) Paths {
	return withSocket(home, filepath.Join(home, "run"))
}

// LinuxPaths are the system's folders for root and those of the XDG base
// directory specification for everybody else. Without XDG_RUNTIME_DIR the
// runtime folder is kept beside the data.
func LinuxPaths(u User) (Paths, error) {
	if u.UID == 0 {
		return withSocket("/var/lib/consentry", "/run/consentry"), nil
	}
	if !filepath.IsAbs(u.Home) {
		return Paths{}, errNoHome
	}
	data := filepath.Join(absEnv(u, "XDG_DATA_HOME", filepath.Join(u.Home, ".local", "share")), "consentry")
	runtime := filepath.Join(data, "run")
	if dir := absEnv(u, "XDG_RUNTIME_DIR", ""); dir != "" {
		runtime = filepath.Join(dir, "consentry")
	}
	return withSocket(data, runtime), nil
}

// DarwinPaths are below the user's Library.
func DarwinPaths(u User) (Paths, error) {
	if !filepath.IsAbs(u.Home) {
		return Paths{}, errNoHome
	}
	data := filepath.Join(u.Home, "Library", "Application Support", "Consentry")
	return withSocket(data, filepath.Join(data, "run")), nil
}

// WindowsPaths are below the user's local application data.
func WindowsPaths(u User) (Paths, error) {
	base := u.Env("LOCALAPPDATA")
	if base == "" {
		return Paths{}, fmt.Errorf("LOCALAPPDATA is not set; set it or %s", HomeEnv)
	}
	data := filepath.Join(base, "Consentry")
	return withSocket(data, filepath.Join(data, "run")), nil
}

var errNoHome = errors.New("the home folder of this user is not known; set " + HomeEnv)

// absEnv ignores relative values, as the XDG specification wants.
func absEnv(u User, name, fallback string) string {
	if v := u.Env(name); filepath.IsAbs(v) {
		return v
	}
	return fallback
}

func withSocket(data, runtime string) Paths {
	return Paths{Data: data, Runtime: runtime, Socket: filepath.Join(runtime, "agent.sock")}
}

// checked refuses a socket path that the system would cut or reject with no
// more than "invalid argument".
func checked(p Paths) (Paths, error) {
	if n := len(p.Socket); n > maxSocketPath {
		return Paths{}, fmt.Errorf("the path of the socket is %d bytes long, the system allows %d: %s; set %s to a shorter folder",
			n, maxSocketPath, p.Socket, HomeEnv)
	}
	return p, nil
}
