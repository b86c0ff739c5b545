package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	port = "18789"
	page = "http://127.0.0.1:" + port + "/healthz"

	patience = 2 * time.Minute
	interval = 20 * time.Millisecond // between two looks
)

// client takes a new connection each time: an answer on one that was kept could
// be of the contender before.
var client = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// untilHealthy waits for OpenClaw's own word that it is up.
func untilHealthy(ctx context.Context) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(interval) {
		if err = healthy(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("%s have passed: %w", patience, err)
}

func healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

// untilFree waits until nobody listens on the port any more: who still did
// would answer for the next contender.
func untilFree() error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(interval) {
		l, err := net.Listen("tcp", ":"+port)
		if err == nil {
			return l.Close()
		}
	}
	return fmt.Errorf("port %s is not free after %s", port, patience)
}
