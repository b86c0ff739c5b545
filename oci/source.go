package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Kind is where an image comes from.
type Kind int

// The kinds of Source.
const (
	Registry Kind = iota + 1
	Layout        // an OCI layout directory
	Archive       // a tar file: OCI archive or docker save, compressed or not
	Daemon        // a docker or podman daemon on this machine
)

// Source is where to get an image. The zero value is no source.
type Source struct {
	Kind Kind
	Path string         // of a Layout or Archive, absolute and clean; of a Daemon the image's name
	Tag  string         // picks one of several images in a Layout or Archive
	Ref  name.Reference // at a Registry
}

// dockerHub is how the library writes the registry that people call docker.io.
const (
	dockerHub     = "index.docker.io/"
	dockerHubName = "docker.io/"
)

// ParseSource reads what the user named: an absolute path of a directory or
// file that exists ("PATH:TAG" picks one image of several), else a reference
// like nginx, docker.io/library/nginx:1.27 or localhost:5000/app@sha256:…, or
// docker-daemon:NAME for one of a docker or podman daemon on this machine.
func ParseSource(s string) (Source, error) {
	if filepath.IsAbs(s) {
		return parsePath(s)
	}
	if text, is := strings.CutPrefix(s, daemonPrefix); is {
		name, err := daemonName(text)
		return Source{Kind: Daemon, Path: name}, err
	}
	if strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || s == "." || s == ".." {
		return Source{}, fmt.Errorf("image %q: a path must be absolute", s)
	}
	ref, err := name.ParseReference(s)
	if err != nil {
		return Source{}, fmt.Errorf("image %q is neither a file nor a reference like docker.io/library/nginx:latest: %w", s, err)
	}
	if isLoopback(ref.Context().RegistryStr()) { // may speak plain HTTP
		if ref, err = name.ParseReference(s, name.Insecure); err != nil {
			return Source{}, err
		}
	}
	return Source{Kind: Registry, Ref: ref}, nil
}

func parsePath(s string) (Source, error) {
	path, tag := filepath.Clean(s), ""
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, filepath.Separator) {
			path, tag = path[:i], path[i+1:]
			info, err = os.Stat(path)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, fmt.Errorf("image %q: no such file or directory: %w", s, ErrNotFound)
	case err != nil:
		return Source{}, fmt.Errorf("image %q: %w", s, err)
	case info.IsDir():
		return Source{Kind: Layout, Path: path, Tag: tag}, nil
	case info.Mode().IsRegular():
		return Source{Kind: Archive, Path: path, Tag: tag}, nil
	}
	return Source{}, notFormat(s, "neither a file nor a directory")
}

// String is the source's canonical name, under which its image is stored.
func (s Source) String() string {
	switch s.Kind {
	case Registry:
		return people(s.Ref.Name())
	case Daemon:
		return daemonPrefix + s.Path
	}
	if s.Tag != "" {
		return s.Path + ":" + s.Tag
	}
	return s.Path
}

// people writes a reference as people do.
func people(ref string) string {
	if rest, is := strings.CutPrefix(ref, dockerHub); is {
		return dockerHubName + rest
	}
	return ref
}

// Repository is the source without tag and digest.
func (s Source) Repository() string {
	switch s.Kind {
	case Registry:
		return people(s.Ref.Context().Name())
	case Daemon:
		return daemonPrefix + s.Path
	}
	return s.Path
}
