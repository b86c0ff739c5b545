package agent

import (
	"fmt"

	"github.com/consentry/consentry/agent/api"
)

// event is something that happens to a run.
type event string

const (
	evStart   event = "start"  // the user starts it
	evUp      event = "up"     // its sandbox stands and the app runs
	evStop    event = "stop"   // the user stops it
	evExit    event = "exit"   // the app has ended
	evFailed  event = "failed" // the sandbox could not be raised
	evPause   event = "pause"
	evUnpause event = "unpause"
	evRetry   event = "restart" // its policy will start it again
)

// transitions are the legal moves of a run's life.
var transitions = map[api.State]map[event]api.State{
	api.Created:    {evStart: api.Starting, evFailed: api.Failed},
	api.Starting:   {evUp: api.Running, evFailed: api.Failed, evExit: api.Exited},
	api.Running:    {evStop: api.Stopping, evExit: api.Exited, evPause: api.Paused},
	api.Paused:     {evStop: api.Stopping, evExit: api.Exited, evUnpause: api.Running},
	api.Stopping:   {evStop: api.Stopping, evExit: api.Exited},
	api.Exited:     {evStart: api.Starting, evRetry: api.Restarting},
	api.Restarting: {evStart: api.Starting, evStop: api.Exited, evExit: api.Exited},
	api.Failed:     {evStart: api.Starting},
}

// illegalMove is an event that does not fit the state a run is in.
type illegalMove struct {
	state api.State
	event event
}

func (e *illegalMove) Error() string {
	return fmt.Sprintf("cannot %s a run that is %s", e.event, e.state)
}

// next is the state after an event.
func next(state api.State, ev event) (api.State, error) {
	to, legal := transitions[state][ev]
	if !legal {
		return state, &illegalMove{state, ev}
	}
	return to, nil
}

// ended says that nothing of the run is alive.
func ended(state api.State) bool {
	return state == api.Exited || state == api.Failed || state == api.Created
}
