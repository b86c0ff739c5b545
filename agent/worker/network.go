package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/router"
	"github.com/consentry/consentry/sandbox"
)

// captureJob writes the app's frames to the file that comes with it.
type captureJob struct {
	Max int64 `json:"max"` // bytes
}

// captured answers it.
type captured struct {
	Lost uint64 `json:"lost"` // frames
}

// NetworkStats are the router's counters.
func (c *Client) NetworkStats(ctx context.Context) (stats router.Stats, err error) {
	_, err = c.peer.Call(ctx, verbStats, struct{}{}, &stats)
	return stats, err
}

// Capture writes the frames of the app to w as a pcap file until ctx ends, w
// takes no more or most bytes were written, and says how many frames were lost.
// w stays the caller's.
func (c *Client) Capture(ctx context.Context, w *os.File, most int64) (lost uint64, err error) {
	var done captured
	_, err = c.peer.Call(ctx, verbCapture, captureJob{Max: most}, &done, w)
	return done.Lost, err
}

func (s *server) networkStats(ctx context.Context) (router.Stats, error) {
	if err := s.ready(ctx); err != nil {
		return router.Stats{}, err
	}
	return s.router.Stats(), nil
}

func (s *server) capture(ctx context.Context, body json.RawMessage, files []*os.File) (captured, error) {
	defer fdwire.CloseAll(files)
	var job captureJob
	if err := json.Unmarshal(body, &job); err != nil || len(files) != 1 {
		return captured{}, fmt.Errorf("%w: a capture has a bound and a file", sandbox.ErrInvalid)
	}
	if err := s.ready(ctx); err != nil {
		return captured{}, err
	}
	lost, err := s.router.Capture(ctx, files[0], job.Max)
	return captured{lost}, err
}
