package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/sandbox"
)

func (c *cli) trayCommand() *cobra.Command {
	var debug bool
	cmd := &cobra.Command{
		Use: "tray", GroupID: groupSelf,
		Short: "Show an icon on your desktop, and notifications that ask",
		Long: `Show an icon on your desktop with what apps ask for, what runs and what it may
do, and notifications with buttons to allow and deny. It stays until you quit it;
its menu has a box to start it with your session.`,
		Example: "  consentry tray &",
		Args:    need(0, 0, "", "consentry tray"),
		RunE: func(*cobra.Command, []string) error {
			if c.Agent == nil {
				return fmt.Errorf("this build of consentry has no tray beside it: %w", sandbox.ErrNotSupported)
			}
			agent, err := c.Agent()
			if err != nil {
				return err
			}
			program := filepath.Join(filepath.Dir(agent), "consentry-tray"+filepath.Ext(agent))
			if _, err := os.Stat(program); err != nil {
				return hinted("consentry and consentry-tray belong into one folder: install both", fmt.Errorf("the tray's program: %w", err))
			}
			if debug {
				return become(c.Streams, program, "--debug")
			}
			return become(c.Streams, program)
		},
	}
	cmd.Flags().BoolVar(&debug, "debug", false, "log more")
	return cmd
}
