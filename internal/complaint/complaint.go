// Package complaint turns what a helper process writes to its standard error
// into lines of our log.
package complaint

import "log/slog"

// maxText bounds what is kept of one write, in bytes.
const maxText = 2048

// Writer is a process's standard error.
type Writer struct {
	Log *slog.Logger
	Who string // whose it is
	Run string // the app run that it helps; "" while it has none
}

func (w Writer) Write(p []byte) (int, error) {
	w.Log.Warn(w.Who, "run", w.Run, "text", string(p[:min(len(p), maxText)]))
	return len(p), nil
}
