package wsl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// Distro is the name of ours among the distros of a user.
const Distro = "consentry"

// Time limits of one call of wsl.exe: the first starts the machine of all
// distros, and an import writes a disk.
const (
	callTime   = time.Minute
	importTime = 10 * time.Minute
	copyTime   = 30 * time.Minute
)

// maxOutput bounds what is kept of what a call prints, in bytes.
const maxOutput = 1 << 20

// call runs wsl.exe and returns what it printed. Nothing in args comes from an
// app.
func (d *Driver) call(ctx context.Context, limit time.Duration, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, said bounded
	cmd := d.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errNoWSL(err)
	case ctx.Err() != nil:
		return "", fmt.Errorf("wsl %s: %w", strings.Join(args, " "), ctx.Err())
	case err != nil: // it prints its own errors to standard output
		return text(out.Bytes()), explain(strings.Join(args, " "), err, text(out.Bytes())+text(said.Bytes()))
	}
	return text(out.Bytes()), nil
}

func (d *Driver) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.config.WSL, args...)
	cmd.Env = append(os.Environ(), "WSL_UTF8=1")
	withoutWindow(cmd)
	return cmd
}

// inDistro are the arguments that run our program there.
func inDistro(args ...string) []string {
	return slices.Concat([]string{"--distribution", Distro, "--user", "root", "--cd", "/", "--exec", guestwire.DistroProgram, guestwire.DistroPart}, args)
}

// bounded keeps the first bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), maxOutput-b.Len())])
	return len(p), nil
}

// ready imports the distro where it is not there, or is another consentry's.
func (d *Driver) ready(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.prepared {
		return nil
	}
	program, sum, err := readProgram(d.config.Guest)
	if err != nil {
		return err
	}
	out, err := d.call(ctx, callTime, nil, "--list", "--quiet")
	if errors.Is(err, sandbox.ErrNotSupported) || ctx.Err() != nil {
		return err
	}
	// Where there is no distro at all, the call fails in words.
	if err == nil && slices.Contains(parseNames(out), Distro) {
		err = d.renew(ctx, program, sum)
	} else {
		err = d.importDistro(ctx, program)
	}
	d.prepared = err == nil
	return err
}

// maxProgram bounds guestinit, in bytes.
const maxProgram = 256 << 20

func readProgram(path string) (program []byte, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("guest program: %w: install consentry again", err)
	}
	defer f.Close()
	if program, err = io.ReadAll(io.LimitReader(f, maxProgram)); err != nil {
		return nil, "", fmt.Errorf("guest program: %w", err)
	}
	digest := sha256.Sum256(program)
	return program, hex.EncodeToString(digest[:]), nil
}

// importDistro makes the distro.
func (d *Driver) importDistro(ctx context.Context, program []byte) error {
	if err := os.MkdirAll(d.config.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.config.Dir, "rootfs-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // a copy
	if err := errors.Join(WriteRootfs(f, bytes.NewReader(program), int64(len(program))), f.Close()); err != nil {
		return fmt.Errorf("distro: %w", err)
	}
	_, err = d.call(ctx, importTime, nil, "--import", Distro, filepath.Join(d.config.Dir, "distro"), f.Name(), "--version", "2")
	return err
}

// renew gives a distro that was made by another consentry this one's program.
// Layers, volumes and what apps have written stay.
func (d *Driver) renew(ctx context.Context, program []byte, sum string) error {
	has, err := d.call(ctx, callTime, nil, inDistro(guestwire.DistroDigestPart)...)
	if err != nil {
		return fmt.Errorf("%w; to begin anew: wsl --unregister %s (what apps have written in it is lost)", err, Distro)
	}
	if strings.TrimSpace(has) == sum {
		return nil
	}
	_, err = d.call(ctx, copyTime, bytes.NewReader(program), inDistro(guestwire.DistroRenewPart, sum, strconv.Itoa(len(program)))...)
	return err
}

// bring copies the layers into the distro that it has not.
func (d *Driver) bring(ctx context.Context, layers []string) (names []string, err error) {
	out, err := d.call(ctx, callTime, nil, inDistro(guestwire.DistroLayersPart)...)
	if err != nil {
		return nil, err
	}
	has := parseNames(out)
	if err := d.drop(ctx, has, layers); err != nil {
		return nil, err
	}
	for _, path := range layers {
		name := strings.ToLower(filepath.Base(path))
		if err := guestwire.CheckDistroName(name); err != nil {
			return nil, err
		}
		if !slices.Contains(has, name) {
			if err := d.put(ctx, path, name); err != nil {
				return nil, fmt.Errorf("layer %s: %w", name, err)
			}
			has = append(has, name)
		}
		names = append(names, name)
	}
	return names, nil
}

// drop removes layers from the distro, once, that the store here has no more.
// Those of apps that run stay mounted until their end.
func (d *Driver) drop(ctx context.Context, has, layers []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.swept || len(layers) == 0 {
		return nil
	}
	store := filepath.Dir(layers[0])
	var stale []string
	for _, name := range has {
		_, err := os.Stat(filepath.Join(store, name))
		if errors.Is(err, fs.ErrNotExist) && len(stale) < guestwire.MaxDistroNames {
			stale = append(stale, name)
		}
	}
	d.swept = true
	if len(stale) == 0 {
		return nil
	}
	_, err := d.call(ctx, callTime, nil, inDistro(append([]string{guestwire.DistroDropPart}, stale...)...)...)
	return err
}

func (d *Driver) put(ctx context.Context, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no ext4 image: on Windows a layer has to be one")
	}
	_, err = d.call(ctx, copyTime, f, inDistro(guestwire.DistroPutPart, name, strconv.FormatInt(info.Size(), 10))...)
	return err
}

// Remove unregisters the distro, with all that apps have written in it: for
// uninstalling consentry. No app may run. Where there is no distro it does
// nothing.
func (d *Driver) Remove(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	//nolint:errcheck // without any distro this is an error of its own
	out, _ := d.call(ctx, callTime, nil, "--list", "--quiet")
	if !slices.Contains(parseNames(out), Distro) {
		return nil
	}
	d.prepared = false
	_, err := d.call(ctx, importTime, nil, "--unregister", Distro)
	return err
}
