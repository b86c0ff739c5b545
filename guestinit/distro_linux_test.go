package guestinit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// mountinfo of a distro with automount on (drives over 9P and over virtio-fs),
// with what a distro of ours has too.
const mountinfo = `63 75 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard,errors=remount-ro,data=ordered
76 63 0:27 / /mnt/wsl rw,relatime shared:1 - tmpfs none rw
77 63 0:24 /init /init ro,relatime - rootfs rootfs rw,size=8071764k
79 63 0:6 / /dev rw,nosuid,relatime - devtmpfs none rw,size=8071764k
81 63 0:30 / /proc rw,nosuid,nodev,noexec,noatime - proc proc rw
83 63 0:32 / /usr/lib/wsl/drivers ro,nosuid,nodev,noatime - 9p drivers ro,dirsync,aname=drivers;fmask=222;dmask=222,cache=5
98 63 0:60 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=0;gid=0;symlinkroot=/mnt/,cache=5
99 63 0:61 / /mnt/d rw,noatime - virtiofs drvfsaD rw
100 63 0:62 / /mnt/e rw,noatime - drvfs E: rw
101 63 0:63 / /data rw,noatime - tmpfs data rw
`

func TestWindowsMounts(t *testing.T) {
	if got := windowsMounts(mountinfo); !slices.Equal(got, []string{"/usr/lib/wsl/drivers", "/mnt/c", "/mnt/d", "/mnt/e"}) {
		t.Errorf("%q", got)
	}
	if got := windowsMounts("nonsense\n1 2 3 - 9p\n"); got != nil {
		t.Errorf("of nonsense: %q", got)
	}
}

func TestRunsWindows(t *testing.T) {
	const mz = "interpreter /init\nflags: P\noffset 0\nmagic 4d5a\n"
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"WSLInterop", "enabled\n" + mz, true},
		{"WSLInterop-late", "enabled\n" + mz, true},
		{"other", "enabled\n" + mz, true},
		{"WSLInterop", "disabled\n" + mz, false},
		{"qemu-arm", "enabled\ninterpreter /usr/bin/qemu-arm\nflags: F\noffset 0\nmagic 7f454c46\n", false},
	} {
		if got := runsWindows(c.name, c.text); got != c.want {
			t.Errorf("%s %q: %v", c.name, c.text, got)
		}
	}
}

func TestOwnInterpreters(t *testing.T) {
	for release, want := range map[string]bool{
		"5.15.167.4-microsoft-standard-WSL2": false, "6.6.87.2-microsoft-standard-WSL2": false, "6.7.0": true, "6.18.1-x": true, "7.0": true, "": false, "x": false,
	} {
		if got := ownInterpreters(release); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}

// card takes frames; those that are refused it does not.
type card struct {
	took   [][]byte
	refuse error
}

func (c *card) Write(p []byte) (int, error) {
	if c.refuse != nil {
		return 0, c.refuse
	}
	c.took = append(c.took, bytes.Clone(p))
	return len(p), nil
}

func TestFramesOfTheHost(t *testing.T) {
	frame := func(n int) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(n)), make([]byte, n)...) }
	for name, c := range map[string]struct {
		in     []byte
		refuse error
		frames int
		want   error
	}{
		"two":           {slices.Concat(frame(60), frame(1514)), nil, 2, io.EOF},
		"the largest":   {frame(maxFrame), nil, 1, io.EOF},
		"too large":     {frame(maxFrame + 1), nil, 0, sandbox.ErrInvalid},
		"all ones":      {[]byte{255, 255, 255, 255}, nil, 0, sandbox.ErrInvalid},
		"half":          {frame(60)[:30], nil, 0, io.ErrUnexpectedEOF},
		"card is down":  {slices.Concat(frame(60), frame(60)), unix.EIO, 0, io.EOF},
		"card is gone":  {slices.Concat(frame(60), frame(60)), unix.EBADFD, 0, unix.EBADFD},
		"nothing in it": {frame(0), unix.EINVAL, 0, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			to := &card{refuse: c.refuse}
			if err := receiveFrames(to, bytes.NewReader(c.in)); !errors.Is(err, c.want) || len(to.took) != c.frames {
				t.Errorf("%d frames, %v", len(to.took), err)
			}
		})
	}
}

func TestPutIsWholeOrNot(t *testing.T) {
	for _, args := range [][]string{nil, {"l"}, {"l", "-1"}, {"l", "x"}, {"../l", "1"}, {"l", "9999999999999999"}} {
		if err := putLayer(bytes.NewReader(nil), args); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%q: %v", args, err)
		}
	}
	path := t.TempDir() + "/layer"
	if err := keep(bytes.NewReader([]byte("half")), 8, path, 0o600, ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if err := keep(bytes.NewReader([]byte("other")), 5, path, 0o600, "00"); !errors.Is(err, sandbox.ErrInvalid) {
		t.Error(err)
	}
	if err := unix.Access(path, unix.F_OK); !errors.Is(err, unix.ENOENT) {
		t.Errorf("it is there: %v", err)
	}
}
