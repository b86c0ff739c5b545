// Command mkimage makes an OCI image, as a layout directory, out of tar files
// and folders. It needs no container engine.
//
//	mkimage -o LAYOUT -layer base.tar -folder app=/app -cmd python3,/app/main.py -port 8080
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type options struct {
	out, cmd, label     string
	user, dir, stop     string
	arch                string
	layers, folders     list
	ports, env, volumes list
}

func main() {
	var o options
	flag.StringVar(&o.out, "o", "", "layout `directory` to write; it is replaced")
	flag.StringVar(&o.cmd, "cmd", "", "command, its words separated by commas")
	flag.StringVar(&o.label, "label", "", "`KEY=FILE`: a label with the text of a file")
	flag.Var(&o.layers, "layer", "`tar` file of a layer; may be repeated")
	flag.Var(&o.folders, "folder", "`FOLDER=TARGET`: a layer of a folder's files; may be repeated")
	flag.Var(&o.ports, "port", "port the app serves; may be repeated")
	flag.Var(&o.env, "env", "`NAME=VALUE`; may be repeated")
	flag.StringVar(&o.user, "user", "", "`USER` the app runs as, by name or id")
	flag.StringVar(&o.dir, "dir", "", "working `directory`")
	flag.StringVar(&o.stop, "stop", "", "`signal` that asks the app to end")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "`PROCESSOR` of its programs, as Go names it")
	flag.Var(&o.volumes, "volume", "`path` of what should outlive a run; may be repeated")
	flag.Parse()
	if err := build(o); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func build(o options) error {
	if o.out == "" {
		return errors.New("no -o DIRECTORY to write to")
	}
	layers, err := o.allLayers()
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		return fmt.Errorf("layers: %w", err)
	}
	config, err := o.config(img)
	if err != nil {
		return err
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	if err := os.RemoveAll(o.out); err != nil {
		return err
	}
	index, err := layout.Write(o.out, empty.Index)
	if err != nil {
		return fmt.Errorf("layout: %w", err)
	}
	return index.AppendImage(img)
}

func (o options) allLayers() ([]v1.Layer, error) {
	var layers []v1.Layer
	for _, file := range o.layers {
		layer, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", file, err)
		}
		layers = append(layers, layer)
	}
	for _, folder := range o.folders {
		source, target, ok := strings.Cut(folder, "=")
		if !ok {
			return nil, fmt.Errorf("-folder %q is not FOLDER=TARGET", folder)
		}
		raw, err := tarOf(source, target)
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", source, err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(raw)), nil
		}, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", source, err)
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// tarOf packs the regular files below source, owned by root and without times,
// so that the same files give the same layer.
func tarOf(source, target string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	root := os.DirFS(source)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		header := &tar.Header{
			Name: strings.TrimPrefix(path.Join(target, filepath.ToSlash(name)), "/"), Mode: int64(info.Mode().Perm()),
			Size: int64(len(data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0),
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return out.Bytes(), errors.Join(err, w.Close())
}

func (o options) config(img v1.Image) (*v1.ConfigFile, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", o.arch
	if o.cmd != "" {
		config.Config.Cmd = strings.Split(o.cmd, ",")
	}
	config.Config.Env, config.Config.User, config.Config.WorkingDir, config.Config.StopSignal = o.env, o.user, o.dir, o.stop
	for _, path := range o.volumes {
		if config.Config.Volumes == nil {
			config.Config.Volumes = map[string]struct{}{}
		}
		config.Config.Volumes[path] = struct{}{}
	}
	for _, port := range o.ports {
		if config.Config.ExposedPorts == nil {
			config.Config.ExposedPorts = map[string]struct{}{}
		}
		config.Config.ExposedPorts[port+"/tcp"] = struct{}{}
	}
	if key, file, ok := strings.Cut(o.label, "="); ok {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("label: %w", err)
		}
		config.Config.Labels = map[string]string{key: string(text)}
	}
	return config, nil
}
