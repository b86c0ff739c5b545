// Prints "name errno" for what Go's own library does with preview 1; the mounts
// are those of conformance.c: /data to write, /ro to read, /two to write.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func errno(err error) int {
	var number syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &number):
		return int(number)
	}
	return -1
}

func say(name string, err error) { fmt.Println("go "+name, errno(err)) }
func value(name string, v any)   { fmt.Printf("go %s =%v\n", name, v) }
func closing(f *os.File, err error) error {
	if err == nil {
		f.Close()
	}
	return err
}

func open(path string, flags int) error { return closing(os.OpenFile(path, flags, 0o644)) }

func paths() {
	say("open", open("/data/file.txt", os.O_RDONLY))
	say("open missing", open("/data/missing", os.O_RDONLY))
	say("open out", open("/data/out/secret", os.O_RDONLY))
	say("open absolute link", open("/data/abs", os.O_RDONLY))
	say("open link", open("/data/in", os.O_RDONLY))
	say("open loop", open("/data/loop", os.O_RDONLY))
	say("open below file", open("/data/file.txt/x", os.O_RDONLY))
	say("open dir for writing", open("/data/dir", os.O_RDWR))
	say("create", open("/data/new", os.O_RDWR|os.O_CREATE))
	say("create exclusive", open("/data/new", os.O_RDWR|os.O_CREATE|os.O_EXCL))
	say("create out", open("/data/out/new", os.O_RDWR|os.O_CREATE))
	say("ro open", open("/ro/ro.txt", os.O_RDONLY))
	say("ro write", open("/ro/ro.txt", os.O_WRONLY))
	say("ro create", open("/ro/new", os.O_WRONLY|os.O_CREATE))
	say("ro truncate", os.Truncate("/ro/ro.txt", 0))
	say("ro remove", syscall.Unlink("/ro/ro.txt"))
	say("ro mkdir", os.Mkdir("/ro/d", 0o755))
	say("mkdir", os.Mkdir("/data/made", 0o755))
	say("mkdir existing", os.Mkdir("/data/made", 0o755))
	say("mkdir out", os.Mkdir("/data/out/made", 0o755))
	say("rmdir full", syscall.Rmdir("/data/dir"))
	say("rmdir file", syscall.Rmdir("/data/file.txt"))
	say("rmdir", syscall.Rmdir("/data/made"))
	say("symlink", os.Symlink("file.txt", "/data/made-link"))
	say("symlink out", os.Symlink("../outside", "/data/made-out"))
	say("symlink absolute", os.Symlink("/etc/passwd", "/data/made-abs"))
	target, err := os.Readlink("/data/made-link")
	say("readlink", err)
	value("readlink target", target)
	say("link", os.Link("/data/file.txt", "/data/hard"))
	say("link existing", os.Link("/data/file.txt", "/data/hard"))
	say("rename", os.Rename("/data/hard", "/data/moved"))
	say("rename missing", os.Rename("/data/hard", "/data/moved"))
	say("rename out", os.Rename("/data/moved", "/data/out/moved"))
	say("rename to ro", os.Rename("/data/moved", "/ro/moved"))
	say("unlink dir", syscall.Unlink("/data/dir"))
	say("unlink", syscall.Unlink("/data/moved"))
}

func files() {
	f, err := os.OpenFile("/two/go", os.O_RDWR|os.O_CREATE, 0o644)
	say("file", err)
	_, err = f.WriteString("0123456789")
	say("write", err)
	_, err = f.Seek(-3, io.SeekEnd)
	say("seek", err)
	rest, err := io.ReadAll(f)
	say("read", err)
	value("rest", string(rest))
	_, err = f.Seek(-1, io.SeekStart)
	say("seek before start", err)
	_, err = f.WriteAt([]byte("ab"), 20)
	say("write at", err)
	info, err := f.Stat()
	say("stat", err)
	value("size", info.Size())
	say("truncate", f.Truncate(4))
	say("sync", f.Sync())
	when := time.Unix(1_500_000_000, 0)
	say("times", os.Chtimes("/two/go", when, when))
	info, err = os.Stat("/two/go")
	value("time", info.ModTime().Unix())
	value("size at last", info.Size())
	_, err = f.ReadAt(make([]byte, 8), 100)
	value("read past the end", err == io.EOF)
	f.Close()
	_, err = f.Write([]byte("x"))
	value("write when closed", errors.Is(err, os.ErrClosed))
}

func trees() {
	say("mkdir all", os.MkdirAll("/two/a/b/c", 0o755))
	for i := range 300 {
		if err := os.WriteFile(fmt.Sprintf("/two/a/b/f%03d", i), []byte{byte(i)}, 0o644); err != nil {
			say("many files", err)
		}
	}
	list, err := os.ReadDir("/two/a/b")
	say("readdir", err)
	value("entries", len(list))
	seen := 0
	err = filepath.WalkDir("/two/a", func(_ string, _ os.DirEntry, err error) error { seen++; return err })
	say("walk", err)
	value("walked", seen)
	_, err = os.ReadDir("/data/out")
	say("readdir out", err)
	say("remove all", os.RemoveAll("/two/a"))
	_, err = os.Stat("/two/a")
	say("gone", err)
}

func main() {
	paths()
	files()
	trees()
	_, err := os.Getwd()
	say("working directory", err)
	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	value("slept", time.Since(start) >= 20*time.Millisecond)
	os.Exit(7)
}
