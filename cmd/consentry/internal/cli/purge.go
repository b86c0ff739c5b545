package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/internal/autostart"
)

func (c *cli) purgeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "purge", GroupID: groupSelf,
		Short: "Remove everything that Consentry keeps of yours",
		Long: `Remove everything that Consentry keeps of yours: apps and what they wrote, volumes,
images, rights, the ledger, accounts, secrets, your profile, and the entry that
starts the tray at login. Apps that run are stopped. It shows what goes, and asks.

The programs stay; remove them by your package manager afterwards. Nothing brings
back what is removed: consentry volume backup and consentry log export keep it.`,
		Example: "  consentry purge\n  consentry purge --yes",
		Args:    need(0, 0, "", "consentry purge"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := c.paths()
			if err != nil {
				return err
			}
			if !exists(p.Data) && !exists(p.Runtime) {
				_, err := fmt.Fprintln(c.Out, "nothing is kept")
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if err := c.showKept(ctx, cl, p); err != nil {
					return err
				}
				if !yes && !c.confirm("Remove all of it?") {
					return hinted("--yes does it without asking", errors.New("nothing was removed"))
				}
				if _, err := cl.Purge(ctx); err != nil {
					return err
				}
				return c.removeRest(ctx, p)
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do it without asking")
	return cmd
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// showKept says what would go.
func (c *cli) showKept(ctx context.Context, cl *client.Client, p ipc.Paths) error {
	use, err := cl.DiskUse(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{{"WHAT", "COUNT", "SIZE"}}
	for _, u := range use {
		rows = append(rows, []string{u.What, strconv.Itoa(u.Count), size(u.Bytes)})
	}
	grants, err := cl.Grants(ctx, "")
	if err != nil {
		return err
	}
	accounts, err := cl.Accounts(ctx)
	if err != nil {
		return err
	}
	secrets, err := cl.Secrets(ctx)
	if err != nil {
		return err
	}
	for _, kept := range []struct {
		what string
		n    int
	}{{"rights", len(grants)}, {"accounts", len(accounts)}, {"secrets", len(secrets)}} {
		rows = append(rows, []string{kept.what, strconv.Itoa(kept.n), "-"})
	}
	if err := table(c.Out, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "with the ledger, your profile and your settings, in\n  %s\n  %s\n", plain(p.Data), plain(p.Runtime))
	return err
}

// removeRest removes what the agent cannot while it is one, when it has ended.
func (c *cli) removeRest(ctx context.Context, p ipc.Paths) error {
	lock, err := ipc.WaitLock(ctx, p)
	if err != nil {
		return fmt.Errorf("the agent has not ended: %w", err)
	}
	defer lock.Close() //nolint:errcheck // its file is gone
	if program, err := c.Agent(); err == nil {
		entry, err := autostart.Of(filepath.Join(filepath.Dir(program), "consentry-tray"+filepath.Ext(program)))
		if err == nil {
			err = entry.Set(false)
		}
		if err != nil {
			return fmt.Errorf("start at login: %w", err)
		}
	}
	left, err := notRemoved(p)
	if err != nil {
		return err
	}
	if left != "" {
		return hinted("what is not Consentry's is left to you; why the rest could not be removed is at the end of "+plain(p.Log()),
			fmt.Errorf("%s is still there", plain(left)))
	}
	if err := errors.Join(os.RemoveAll(p.Runtime), os.RemoveAll(p.Data)); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, "everything is removed")
	return err
}

// notRemoved is something in the data folder besides the runtime folder, or "".
func notRemoved(p ipc.Paths) (string, error) {
	entries, err := os.ReadDir(p.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for _, e := range entries {
		if path := filepath.Join(p.Data, e.Name()); path != p.Runtime {
			return path, nil
		}
	}
	return "", err
}
