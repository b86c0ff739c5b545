//go:build !wasip1

package consentry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// api is where a program in an image finds the data API.
const api = "http://10.0.2.2:9999"

// client uses no proxy: the API is on the app's own wire.
var client = &http.Client{Transport: &http.Transport{}}

// Request asks the user. An error says that nothing was given; see Error.
func Request(q Question) (*Answer, error) {
	body := map[string]any{"items": q.Items, "purpose": q.Purpose}
	if q.Retain {
		body["retain"] = "run"
	}
	var answer Answer
	if err := call(http.MethodPost, "/v1/requests", body, q.Wait, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// Kinds lists what there is to ask for. It asks the user nothing.
func Kinds() ([]Kind, error) {
	var answer struct {
		Kinds []Kind `json:"kinds"`
	}
	err := call(http.MethodGet, "/v1/kinds", nil, 0, &answer)
	return answer.Kinds, err
}

// Grants lists what this run was given.
func Grants() ([]Grant, error) {
	var answer struct {
		Grants []Grant `json:"grants"`
	}
	err := call(http.MethodGet, "/v1/grants", nil, 0, &answer)
	return answer.Grants, err
}

// GiveBack ends a grant.
func GiveBack(grant string) error {
	return call(http.MethodDelete, "/v1/grants/"+url.PathEscape(grant), nil, 0, nil)
}

// OpenFile reads a file that the user picked: "content" of a record of type
// "files". Close it.
func OpenFile(handle string) (io.ReadCloser, error) {
	resp, err := send(context.Background(), http.MethodGet, "/v1/files/"+url.PathEscape(handle), nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func call(method, path string, body any, wait time.Duration, into any) error {
	ctx := context.Background()
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	resp, err := send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// send returns an answer that is no problem (RFC 9457).
func send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, api+path, text)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Consentry-Request", "1")
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &Error{"timeout", "no answer in the time that was given"}
	case err != nil:
		return nil, fmt.Errorf("the data API does not answer; does this program run under Consentry? %w", err)
	case resp.StatusCode < http.StatusMultipleChoices:
		return resp, nil
	}
	defer resp.Body.Close()
	var problem struct{ Type, Detail string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&problem); err != nil {
		return nil, fmt.Errorf("the data API says %s: %w", resp.Status, err)
	}
	at := len("https://consentry.dev/problems/")
	return nil, &Error{problem.Type[min(at, len(problem.Type)):], problem.Detail}
}

// Response is the answer to an HTTPRequest.
type Response struct {
	Status  int
	Headers string
	Body    io.ReadCloser
}

// Fetch makes an HTTP request of a module. A program in an image has net/http.
func Fetch(HTTPRequest) (*Response, error) { return nil, ErrNotSupported }
