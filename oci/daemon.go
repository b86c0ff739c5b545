package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// daemonPrefix marks an image of a docker or podman daemon on this machine.
const daemonPrefix = "docker-daemon:"

// daemonSockets are where such a daemon may listen, the user's choice first.
func daemonSockets(getenv func(string) string) []string {
	var all []string
	if host, is := strings.CutPrefix(getenv("DOCKER_HOST"), "unix://"); is {
		all = append(all, host)
	}
	all = append(all, "/var/run/docker.sock")
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman", "podman.sock"))
	}
	return append(all, "/run/podman/podman.sock")
}

// errNoDaemon: nobody listens on any socket.
var errNoDaemon = errors.New("no docker or podman daemon answers on this machine (DOCKER_HOST=unix://… names its socket)")

// openDaemon takes an image out of the first daemon that has it, as the archive
// that "docker save" writes.
func openDaemon(ctx context.Context, src Source, sockets []string, scratch func() (*os.File, error)) (origin, error) {
	last := errNoDaemon
	for _, socket := range sockets {
		o, err := fromDaemon(ctx, socket, src, scratch)
		if err == nil {
			return o, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
		if !absent {
			last = fmt.Errorf("daemon at %s: %w", socket, err)
		}
	}
	return nil, last
}

func fromDaemon(ctx context.Context, socket string, src Source, scratch func() (*os.File, error)) (_ origin, err error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon/images/"+src.Path+"/get", nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req) // no redirect is followed
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, refusedByDaemon(resp, src.Path)
	}
	return save(ctx, resp.Body, scratch)
}

// maxDaemonError bounds the words of a daemon, in bytes.
const maxDaemonError = 1 << 10

func refusedByDaemon(resp *http.Response, name string) error {
	words, err := io.ReadAll(io.LimitReader(resp.Body, maxDaemonError))
	if err != nil {
		return err
	}
	// podman answers 500 for an image that it has not
	if resp.StatusCode == http.StatusNotFound || strings.Contains(string(words), "No such image") || strings.Contains(string(words), "image not known") {
		return fmt.Errorf("it has no image %s: %w", name, ErrNotFound)
	}
	return fmt.Errorf("it answered %s: %q", resp.Status, words)
}

// save keeps the archive while it is read.
func save(ctx context.Context, body io.Reader, scratch func() (*os.File, error)) (_ origin, err error) {
	out, err := scratch()
	if err != nil {
		return nil, err
	}
	clean := func() error { return os.Remove(out.Name()) }
	t, err := copyArchive(ctx, out, body)
	if err != nil {
		return nil, errors.Join(err, out.Close(), clean())
	}
	t.clean = clean
	return archived(ctx, t, "", "what the daemon sent")
}

// daemonName reads the NAME[:TAG] of an image of a daemon: no more than a name
// may have gets into the path of a request.
func daemonName(text string) (string, error) {
	for _, r := range text {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:@", r)) {
			return "", fmt.Errorf("image %q: want %sNAME[:TAG]", text, daemonPrefix)
		}
	}
	if cmp.Or(text, "/") == "/" || strings.Contains(text, "..") || strings.HasPrefix(text, "/") {
		return "", fmt.Errorf("image %q: want %sNAME[:TAG]", text, daemonPrefix)
	}
	return text, nil
}
