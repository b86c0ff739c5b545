package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/app"
)

// exitStrict ends a check that found warnings only.
const exitStrict = 2

func (c *cli) manifestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "manifest", GroupID: groupSelf,
		Short: "For authors of apps: check what an app says it will ask for",
		Args:  c.unknownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.manifestCheckCommand())
	return cmd
}

type manifestFlags struct{ json, strict bool }

func (c *cli) manifestCheckCommand() *cobra.Command {
	var f manifestFlags
	cmd := &cobra.Command{
		Use:   "check FILE|IMAGE|MODULE",
		Short: "Say what is wrong with a manifest, and what could be better",
		Long: `Judges a manifest as a start does, and then as a user would read it. FILE is the
JSON of a manifest, - the standard input; an image must be pulled.

Exit codes: 0 it is taken, 1 it is refused or cannot be read, 2 with --strict
when there are warnings.`,
		Example:           "  consentry manifest check manifest.json\n  consentry manifest check --strict ./app.wasm",
		Args:              need(1, 1, "the manifest, the image or the module", "consentry manifest check manifest.json"),
		ValidArgsFunction: c.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.checkManifest(cmd.Context(), args[0], f)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "fail for warnings too")
	return cmd
}

func (c *cli) checkManifest(ctx context.Context, what string, f manifestFlags) error {
	req, err := c.manifestRequest(what)
	if err != nil {
		return err
	}
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		got, err := cl.CheckManifest(ctx, req)
		if isNotFound(err) && req.Source != "" {
			return hinted("an image is pulled first: consentry pull "+what, err)
		}
		if err != nil {
			return err
		}
		if f.json {
			err = printJSON(c.Out, got)
		} else {
			c.printFindings(what, got.Findings)
		}
		if err != nil {
			return err
		}
		return verdictOf(got.Findings, f.strict)
	})
}

// manifestRequest reads a file that is a manifest; anything else is for the agent.
func (c *cli) manifestRequest(what string) (api.ManifestCheck, error) {
	if what == "-" {
		return readManifest(c.In)
	}
	file, err := os.Open(what)
	if errors.Is(err, fs.ErrNotExist) {
		if strings.HasSuffix(what, ".json") {
			return api.ManifestCheck{}, fmt.Errorf("there is no file %s", what)
		}
		return api.ManifestCheck{Source: what}, nil
	}
	if err != nil {
		return api.ManifestCheck{}, err
	}
	defer file.Close()
	path, err := filepath.Abs(what)
	if err != nil {
		return api.ManifestCheck{}, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		return api.ManifestCheck{Source: path}, err
	}
	if other, err := isApp(file); err != nil || other {
		return api.ManifestCheck{Source: path}, err
	}
	return readManifest(file)
}

// isApp says whether a file is a module or the archive of an image, and goes
// back to its beginning.
func isApp(file *os.File) (bool, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return bytes.IndexByte(head[:n], 0) >= 0, err // JSON has no NUL
}

func readManifest(r io.Reader) (api.ManifestCheck, error) {
	raw, err := io.ReadAll(io.LimitReader(r, app.MaxManifest+1))
	if err == nil && len(raw) == 0 {
		err = errors.New("the manifest is empty")
	}
	return api.ManifestCheck{Text: string(raw)}, err
}

func (c *cli) printFindings(what string, findings []api.ManifestFinding) {
	for _, f := range findings {
		place := what
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", what, f.Line, f.Column)
		} else if f.Path != "" {
			place = what + ": " + f.Path
		}
		fmt.Fprintf(c.Out, "%s: %s: %s [%s]\n    %s\n", plain(place), f.Level, plain(f.Message), f.Code, plain(f.Hint))
	}
	if len(findings) == 0 {
		fmt.Fprintf(c.Out, "%s: good\n", plain(what))
	}
}

// verdictOf is the exit code.
func verdictOf(findings []api.ManifestFinding, strict bool) error {
	for _, f := range findings {
		if f.Level == "error" {
			return exitCode(exitFault)
		}
	}
	if strict && len(findings) > 0 {
		return exitCode(exitStrict)
	}
	return nil
}
