//go:build !linux

package wsl_test

import "os"

func role([]string) (code int, mine bool) { return 0, false }

// unpack keeps the archive: nothing here can enter it.
func unpack(archive, dir string) error {
	raw, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(dir+"/rootfs.tar", raw, 0o600)
}

// enter has no Linux to run the program on: what it is to say is in the answers.
func enter(string, string, []string) int { return 1 }
