package wsl

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/consentry/consentry/guestwire"
)

// config is /etc/wsl.conf: nothing of Windows comes in, nothing is generated,
// nothing is started.
const config = `[automount]
enabled=false
mountFsTab=false

[interop]
enabled=false
appendWindowsPath=false

[gpu]
enabled=false

[network]
generateHosts=false
generateResolvConf=false

[boot]
systemd=false

[user]
default=root
`

// rootLine is what wsl.exe looks up for --user root. Nobody logs in.
const rootLine = "root:x:0:0:root:/:" + guestwire.DistroProgram + "\n"

// folders of the distro, each after the one it lies in.
var folders = []string{
	"bin", "consentry", "dev", "etc", "files", "mnt", "proc", "run", "sys", "tmp", "var", "var/lib", "var/lib/consentry",
}

// shell is there for WSL from 2.3 to 2.5, which imports nothing without one
// (microsoft/WSL pull request 13036); it is our program, and no shell.
const shell = "bin/sh"

// WriteRootfs writes the distro as a tar file: program, of size bytes, and what
// it stands on. The same program gives the same bytes.
func WriteRootfs(w io.Writer, program io.Reader, size int64) error {
	archive := tar.NewWriter(w)
	for _, name := range folders {
		if err := archive.WriteHeader(entry(tar.TypeDir, name+"/", 0o755, 0)); err != nil {
			return err
		}
	}
	for _, file := range []struct{ name, text string }{
		{"etc/group", "root:x:0:\n"}, {"etc/passwd", rootLine}, {"etc/wsl.conf", config},
	} {
		if err := archive.WriteHeader(entry(tar.TypeReg, file.name, 0o644, int64(len(file.text)))); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, file.text); err != nil {
			return err
		}
	}
	if err := archive.WriteHeader(entry(tar.TypeReg, guestwire.DistroProgram[1:], 0o755, size)); err != nil {
		return err
	}
	if n, err := io.Copy(archive, io.LimitReader(program, size)); err != nil || n < size {
		return fmt.Errorf("guest program: %d of %d bytes: %w", n, size, err)
	}
	link := entry(tar.TypeSymlink, shell, 0o777, 0)
	link.Linkname = guestwire.DistroProgram
	return errors.Join(archive.WriteHeader(link), archive.Close())
}

func entry(kind byte, name string, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX, Uname: "root", Gname: "root"}
}
