//go:build !linux

package wsl_test

import (
	"errors"
	"os"
	"testing"
)

// tempDir stays: Wine 8 cannot do what Go removes folders by. The script that
// runs this removes it.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wsl-test-*")
	must(t, err)
	return dir
}

func removeDistro(dir string) error {
	return errors.Join(os.Remove(dir+"/rootfs.tar"), os.Remove(dir))
}

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
