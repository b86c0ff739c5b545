// Command attackimage writes the layer of an image that holds the program of
// attack/probe: plainly, set-uid, and with every capability as a file's.
//
//	attackimage PROGRAM > layer.tar
package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/consentry/consentry/attack"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: attackimage PROGRAM > layer.tar")
		os.Exit(2)
	}
	program, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = write(os.Stdout, program)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "attackimage:", err)
		os.Exit(1)
	}
}

func write(to io.Writer, program []byte) error {
	w := tar.NewWriter(to)
	var errs error
	for _, h := range []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: attack.ProbePath[1:], Mode: 0o755},
		{Name: "setuid", Mode: 0o6755},
		{Name: "filecaps", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": string(attack.AllCapabilities())}},
	} {
		h.ModTime = time.Unix(0, 0)
		file := h.Typeflag != tar.TypeDir
		if file {
			h.Size = int64(len(program))
		}
		errs = errors.Join(errs, w.WriteHeader(&h))
		if file {
			_, err := w.Write(program)
			errs = errors.Join(errs, err)
		}
	}
	return errors.Join(errs, w.Close())
}
