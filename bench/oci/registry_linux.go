package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const patience = 20 * time.Second // for a daemon to answer

// registry is Debian's docker-registry on loopback.
type registry struct {
	host string
	cmd  *exec.Cmd
}

func startRegistry(ctx context.Context, work string) (*registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	file := filepath.Join(work, "registry.yml")
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", filepath.Join(work, "registry"), host)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	r := &registry{host: host, cmd: exec.CommandContext(ctx, "docker-registry", "serve", file)}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	if err := answers("tcp", host); err != nil {
		return nil, errors.Join(fmt.Errorf("docker-registry: %w", err), r.stop())
	}
	return r, nil
}

func answers(network, addr string) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial(network, addr); err == nil {
			return c.Close()
		}
	}
	return err
}

func (r *registry) stop() error {
	err := r.cmd.Process.Kill()
	_ = r.cmd.Wait() // killed
	return err
}

// push puts the image of a layout into the registry as it is.
func (r *registry) push(ctx context.Context, image, dir string) (ref string, size int64, err error) {
	img, err := onlyImage(dir)
	if err != nil {
		return "", 0, err
	}
	tag, err := name.NewTag(r.host + "/bench/" + image + ":1")
	if err != nil {
		return "", 0, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return "", 0, err
	}
	for _, l := range manifest.Layers {
		size += l.Size
	}
	return tag.String(), size, remote.Write(tag, img, remote.WithContext(ctx))
}

func onlyImage(dir string) (v1.Image, error) {
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, err
	}
	index, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(list.Manifests) != 1 {
		return nil, fmt.Errorf("%s has %d images, want one", dir, len(list.Manifests))
	}
	return index.Image(list.Manifests[0].Digest)
}
