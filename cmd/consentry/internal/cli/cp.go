package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/oci/unpack"
)

const copyExample = "consentry cp web:/etc/app ./app, or consentry cp ./app.conf web:/etc/app/"

func (c *cli) cpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cp RUN:/PATH HERE | cp HERE RUN:/PATH", GroupID: groupApps,
		Short: "Copy files out of an app or into it",
		Long: `Copy a file or folder out of an app or into it, whether it runs or not. What comes
out is yours, without set-uid bits; links that lead out of what is copied are left
out. What goes in belongs to the app's user; no link that the app made is followed.`,
		Example:           "  consentry cp web:/var/log ./logs\n  consentry cp ./app.conf web:/etc/app/",
		Args:              need(2, 2, "the source or the target", copyExample), //nolint:mnd // both
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			fromRun, fromPath, out := inApp(args[0])
			toRun, toPath, in := inApp(args[1])
			if in == out {
				return hinted("for example: "+copyExample, errors.New("one of the two must be RUN:/PATH, the other a path of this computer"))
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if out {
					return c.copyOut(ctx, cl, fromRun, fromPath, args[1])
				}
				return c.copyIn(ctx, cl, args[0], toRun, toPath)
			})
		},
	}
}

// inApp reads RUN:/PATH. A path of this computer has a slash before its first
// colon, or no slash after it (C:\).
func inApp(text string) (run, inside string, is bool) {
	run, inside, found := strings.Cut(text, ":")
	return run, inside, found && nameRule().MatchString(run) && strings.HasPrefix(inside, "/")
}

// copyOut writes what the app has at inside to here: into it if it is a folder.
func (c *cli) copyOut(ctx context.Context, cl *client.Client, run, inside, here string) error {
	dir, top := here, ""
	if info, err := os.Stat(here); err != nil || !info.IsDir() {
		if strings.HasSuffix(here, "/") {
			return hinted("make it first: mkdir -p "+here, fmt.Errorf("there is no folder %s", here))
		}
		dir, top = filepath.Dir(here), filepath.Base(here)
	}
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := cl.CopyOut(ctx, run, inside, w)
		w.CloseWithError(err)
		sent <- err
	}()
	e, err := extract(r, dir, top)
	r.CloseWithError(io.ErrClosedPipe) // a sender that is left must end
	if sendErr := <-sent; sendErr != nil && !errors.Is(sendErr, io.ErrClosedPipe) {
		return sendErr
	}
	if err != nil {
		return err
	}
	for _, name := range e.left {
		fmt.Fprintf(c.Err, "left out: %s, a link that leads away or no file\n", plain(name))
	}
	_, err = fmt.Fprintf(c.Out, "%s copied\n", plural(e.files, "file"))
	return err
}

// copyIn puts here into the folder inside of the app, or under that name if
// there is no such folder.
func (c *cli) copyIn(ctx context.Context, cl *client.Client, here, run, inside string) error {
	real, err := filepath.EvalSymlinks(here)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return hinted("name a file or folder of this computer", fmt.Errorf("%s: %w", here, cause(err)))
	}
	err = sendTree(ctx, cl, real, filepath.Base(filepath.Clean(here)), run, inside)
	var fault *api.Error
	if errors.As(err, &fault) && fault.Code == "no-directory" && !strings.HasSuffix(inside, "/") {
		err = sendTree(ctx, cl, real, path.Base(inside), run, path.Dir(inside))
	}
	return err
}

// sendTree sends a file or folder under a name.
func sendTree(ctx context.Context, cl *client.Client, here, name, run, dir string) (err error) {
	view, err := unpack.OpenView([]string{filepath.Dir(here)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := view.Pack(ctx, w, filepath.Base(here), unpack.Packing{Name: name})
		w.CloseWithError(err)
		packed <- err
	}()
	err = cl.CopyIn(ctx, run, dir, r)
	r.CloseWithError(io.ErrClosedPipe) // a packer that is left must end
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) {
		return packErr
	}
	return err
}
