package ninep

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// TestOnlyFiles: sockets and FIFOs of the user's programs are not there.
func TestOnlyFiles(t *testing.T) {
	dir := home(t)
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(socket)
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}))
	c, _ := served(t, sandbox.Folder{Source: dir, Write: true})
	names := c.names(4096)
	slices.Sort(names)
	if got := strings.Join(names, " "); got != ". .. letter secret sub" {
		t.Errorf("it shows %s", got)
	}
	for _, name := range []string{"pipe", "sock"} {
		c.want(eNoEntry, tWalk, c.walking(top, name))
		c.want(eNoEntry, tUnlinkAt, unlinking(top, name, 0))
		c.want(eNoEntry, tLcreate, creating(top, name, flagWrite, 0o644))
		c.want(eAccess, tRenameAt, renaming(top, "letter", top, name))
	}
}

// TestAsTheOwner: an agent that runs as root serves no file that the folder's
// owner could not open, and what it makes is the owner's.
func TestAsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: another user's files are served")
	}
	const owner = 12345
	dir := home(t)
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	for _, name := range []string{"", "sub", "sub/deep", "secret"} {
		must(t, os.Chown(filepath.Join(dir, name), owner, owner))
	}
	must(t, os.Chmod(filepath.Join(dir, "secret/key"), 0o600)) // root's
	must(t, os.Chmod(filepath.Join(dir, "letter"), 0o604))
	c, _ := served(t, sandbox.Folder{Source: dir, Write: true})
	if _, e := c.text("secret", "key"); e != eAccess {
		t.Errorf("a file of root's: %v", e)
	}
	if text, e := c.text("letter"); text != "dear\n" || e != 0 {
		t.Errorf("a file that all may read: %q, %v", text, e)
	}
	c.want(ePerm, tSetAttr, setting(c.to("letter"), setMode, 0o666, 0, 0))
	if _, uid, _ := c.stat(c.to("letter")); uid != nobody.UID {
		t.Errorf("root's file is shown as %d's", uid)
	}
	if _, uid, _ := c.stat(c.to("sub", "deep")); uid != app.UID {
		t.Errorf("the owner's file is shown as %d's", uid)
	}
	c.must(tLcreate, creating(c.to(), "new", flagWrite, 0o644))
	info, err := os.Stat(filepath.Join(dir, "new"))
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != owner || st.Gid != owner {
		t.Errorf("what it made belongs to %d:%d", st.Uid, st.Gid)
	}
	if unix.Geteuid() != 0 {
		t.Error("this process is somebody else now")
	}
	must(t, os.WriteFile(filepath.Join(dir, "roots"), nil, 0o600)) // on another thread, with all rights
}
