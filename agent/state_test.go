package agent

import (
	"errors"
	"testing"

	"github.com/consentry/consentry/agent/api"
)

func TestEveryMove(t *testing.T) {
	states := []api.State{api.Created, api.Starting, api.Running, api.Stopping, api.Exited, api.Failed, api.Paused, api.Restarting}
	events := []event{evStart, evUp, evStop, evExit, evFailed, evPause, evUnpause, evRetry}
	legal := map[string]api.State{
		"created start": api.Starting, "created failed": api.Failed,
		"starting up": api.Running, "starting failed": api.Failed, "starting exit": api.Exited,
		"running stop": api.Stopping, "running exit": api.Exited,
		"stopping stop": api.Stopping, "stopping exit": api.Exited,
		"running pause": api.Paused, "paused unpause": api.Running, "paused stop": api.Stopping, "paused exit": api.Exited,
		"exited restart": api.Restarting, "restarting start": api.Starting, "restarting stop": api.Exited, "restarting exit": api.Exited,
		"exited start": api.Starting, "failed start": api.Starting,
	}
	for _, from := range states {
		for _, ev := range events {
			got, err := next(from, ev)
			want, ok := legal[string(from)+" "+string(ev)]
			var illegal *illegalMove
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s %s: got %s, %v; want %s", from, ev, got, err, want)
			case !ok && (!errors.As(err, &illegal) || got != from):
				t.Errorf("%s %s: got %s, %v; want it refused", from, ev, got, err)
			}
		}
	}
}
