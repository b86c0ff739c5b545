package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// keptNames are all that the agent and its user's settings put into the data
// directory. What else lies there is somebody's: the folder is of the user's
// choice.
var keptNames = []string{
	"accounts.json", "consent", "hcs", "images", "made-up.key", "modules", offlineFile, "presets", "profile.json", "registries.json",
	"reviews", "runs", "secrets.json", signersFile, volumesDir,
	"vz", "wsl",
}

// purge ends the agent, which removes what it keeps when its last run has ended.
func (a *Agent) purge(w http.ResponseWriter, _ *http.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.over:
		return &api.Error{Code: "ending", Message: "the agent is ending", Hint: "try again", Status: statusConflict}
	default:
	}
	a.cfg.Log.Warn("everything that is kept will be removed", "folder", a.cfg.Data)
	a.purging = true
	close(a.over)
	return ok(w, api.Purged{Data: a.cfg.Data})
}

// forgetSecrets takes out of the system's keychain what the agent has put there. It
// needs the lists of secrets and accounts, so it goes before their files.
func (a *Agent) forgetSecrets() error {
	var errs []error
	for _, s := range a.data.Secrets.List() {
		errs = append(errs, a.data.Secrets.Remove(s.Name))
	}
	for _, account := range a.data.Accounts.List() {
		errs = append(errs, a.data.Accounts.Remove(account.Name))
	}
	for _, name := range []string{consent.KeyValue, consent.MarkValue} {
		errs = append(errs, a.keys.Set(name, nil))
	}
	return errors.Join(errs...)
}

// purgeHosts has hosts remove what they keep elsewhere: a distro of WSL.
func (a *Agent) purgeHosts() error {
	var errs error
	for _, host := range []sandbox.Host{a.cfg.Image, a.cfg.VM} {
		if p, can := host.(interface{ Purge(context.Context) error }); can {
			errs = errors.Join(errs, p.Purge(context.Background()))
		}
	}
	return errs
}

// removeKept removes the files. It never goes where something is mounted: a
// folder of the user's could be there.
func removeKept(dir string) error {
	mounted, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	if len(mounted) > 0 {
		return fmt.Errorf("nothing below %s is removed while something is mounted there: %s", dir, mounted[0])
	}
	var errs []error
	for _, name := range keptNames {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}
