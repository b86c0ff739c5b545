// Command sbom lists the modules that Go programs are made of, as SPDX 2.3 JSON
// (https://spdx.github.io/spdx-spec/v2.3): sbom -name N -version V -created RFC3339
// PROGRAM... It reads what the Go linker wrote into them, so the list is of what
// ships, and the same programs give the same bytes.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	var s subject
	flag.StringVar(&s.name, "name", "", "of the package that the programs come in")
	flag.StringVar(&s.version, "version", "", "of that package")
	flag.StringVar(&s.created, "created", "", "time, as in 2026-11-28T00:00:00Z")
	flag.Parse()
	if flag.NArg() == 0 || s.name == "" || s.version == "" || s.created == "" {
		fmt.Fprintln(os.Stderr, "usage: sbom -name N -version V -created TIME PROGRAM...")
		os.Exit(2)
	}
	if err := list(os.Stdout, s, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func list(w io.Writer, s subject, files []string) error {
	var programs []program
	for _, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return err
		}
		sum, err := sha256Of(file)
		if err != nil {
			return err
		}
		programs = append(programs, program{name: filepath.Base(file), sha256: sum, info: info})
	}
	out := json.NewEncoder(w)
	out.SetIndent("", " ")
	return out.Encode(documentOf(s, programs))
}
