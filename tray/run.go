package tray

import (
	"context"
	"log/slog"
	"time"

	"github.com/consentry/consentry/internal/autostart"
)

// Options are what the program gives to its tray.
type Options struct {
	Agent   Agent
	Program string                              // the path of this program, to start at login
	Open    func(context.Context, string) error // opens a file or an address in the user's browser
	Log     *slog.Logger
}

// Main shows the tray of this session until ctx ends or the user quits. It must
// be called by the main goroutine.
func Main(ctx context.Context, o Options) error {
	d, dark, err := desktop(o.Log, o.Program)
	if err != nil {
		return err
	}
	if d.Login, err = autostart.Of(o.Program); err != nil {
		return err
	}
	d.Open, d.Choose = o.Open, choose
	return withPanel(dark, func(p Panel) error {
		d.Panel = p
		return Run(ctx, Config{Agent: o.Agent, Desktop: d, Log: o.Log, Now: time.Now})
	})
}
