//go:build linux || wine

package wasmhost

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// conformance is what testdata/conformance.c has to print: a number is the
// errno of a call, "=n" a value that it gave.
const conformance = `
open 0
open missing 44
open empty path 44
open absolute 63
open dotdot 63
open dir/../.. 63
open link out 63
open link out itself 63
open link absolute 63
create through link out 63
open link in 0
open link nofollow 32
open loop 32
open fifo 2
open socket 2
open file as dir 54
open file with slash 54
open below file 54
open dir for writing 31
open dir 0
create exclusive existing 20
create and directory 28
open on bad fd 8
open on a stream 54
ro open 0
ro open for writing 69
ro create 69
ro truncate 69
ro mkdir 69
ro unlink 69
ro rename away 69
ro rename onto 69
ro link away 69
ro symlink 69
ro times 69
mkdir 0
mkdir existing 20
mkdir through link out 63
rmdir file 54
rmdir full 55
rmdir dot 28
rmdir through link out 63
rmdir 0
unlink dir 31
unlink missing 44
unlink through link out 63
stat 0
stat size =10
stat type =4
stat link 0
stat link type =7
stat link out followed 63
readlink 0
readlink length =8
readlink short 0
readlink short length =3
readlink file 28
symlink inside 0
symlink up inside 0
symlink absolute 63
symlink out 63
symlink out from dir 63
symlink by way of dirlink 0
symlink existing 20
symlink empty 44
link 0
link existing 20
link out 63
link from link out 63
link between mounts 0
rename 0
rename missing 44
rename out 63
rename through link out 63
rename from link out 63
rename between, dots 28
rename between, link out 63
rename between 0
times of link out 0
times followed out 63
times both 28
times 0
times mtim =2000000009
times atim =1000000007
sub open 0
sub dotdot 63
sub symlink up 0
sub symlink out 63
sub rights taken 0
sub no right to open 76
sub rights back 76
create 0
write 0
write n =4
tell 0
tell pos =4
seek 0
seek pos =2
seek before start 28
seek whence 28
pwrite 0
pwrite negative 28
pread 0
pread n =4
read 0
read n =4
set size 0
fd stat 0
fd stat size =3
allocate 0
allocate size =20
allocate nothing 28
advise 0
advise unknown 28
flags append 0
append 0
append size =24
flags sync 58
fdstat 0
fdstat type =4
sync 0
datasync 0
fd times 0
fd times mtim =6000000006
readdir of file 54
prestat of file 8
accept 58
shutdown 57
write without right 8
seek without right 76
renumber 0
renumbered is gone 8
renumber from bad 8
close 0
close twice 8
read dir 31
write to stdin 8
read from stdout 8
seek stdout 70
pread stdin 70
stat stdout 0
stat stdout ino =0
write closed 8
bad path pointer 21
bad path length 37
bad result pointer 21
bad iovec pointer 21
bad iovec count 21
bad iovec length 21
bad args pointer 21
bad random 21
bad poll 21
poll too many 28
random unaligned 0
raise 52
clock 0
clock is real =1
clock unknown 28
resolution 0
resolution unknown 28
poll nothing 28
poll clock 0
poll clock waited =1
poll clock userdata =11
poll clock passed 0
poll bad fd 0
poll bad fd event =8
poll stdin 0
poll stdin event =0
poll stdin userdata =12
poll unknown 28
readdir 0
readdir bytes =136
readdir entries =5
readdir far cookie 0
readdir far bytes =0
prestat 0
prestat length =5
prestat name short 37
`

// conformanceGo is what testdata/conformance_go has to print: what Go's library
// makes of preview 1.
const conformanceGo = `
go open 0
go open missing 44
go open out 63
go open absolute link 63
go open link 0
go open loop 32
go open below file 54
go open dir for writing 31
go create 0
go create exclusive 20
go create out 63
go ro open 0
go ro write 69
go ro create 69
go ro truncate 69
go ro remove 69
go ro mkdir 69
go mkdir 0
go mkdir existing 20
go mkdir out 63
go rmdir full 55
go rmdir file 54
go rmdir 0
go symlink 0
go symlink out 63
go symlink absolute 63
go readlink 0
go readlink target =file.txt
go link 0
go link existing 20
go rename 0
go rename missing 44
go rename out 63
go rename to ro 69
go unlink dir 31
go unlink 0
go file 0
go write 0
go seek 0
go read 0
go rest =789
go seek before start 28
go write at 0
go stat 0
go size =22
go truncate 0
go sync 0
go times 0
go time =1500000000
go size at last =4
go read past the end =true
go write when closed =true
go mkdir all 0
go readdir 0
go entries =301
go walk 0
go walked =303
go readdir out 63
go remove all 0
go gone 44
go working directory 0
go slept =true
`

// conformanceRust is what testdata/conformance.rs has to print.
const conformanceRust = `
rust open 0
rust open missing 44
rust open dotdot 63
rust open dir dotdot 0
rust open out 63
rust open absolute link 63
rust open link 0
rust open loop 32
rust open below file 54
rust open dir for writing 31
rust create 0
rust create exclusive 20
rust create out 63
rust ro open 0
rust ro write 69
rust ro append 69
rust ro create 69
rust ro remove 69
rust ro mkdir 69
rust mkdir 0
rust mkdir existing 20
rust mkdir out 63
rust rmdir full 55
rust rmdir file 54
rust rmdir 0
rust readlink =file.txt
rust readlink file 28
rust link 0
rust link existing 20
rust link out 63
rust rename 0
rust rename missing 44
rust rename out 63
rust rename to ro 69
rust unlink dir 31
rust unlink 0
rust metadata out 63
rust link itself =true
rust write 0
rust seek 0
rust read 0
rust rest =789
rust seek before start 28
rust set length 0
rust size =20
rust sync 0
rust sync data 0
rust modified just now =true
rust copy 0
rust copied =0123456789
rust read dir as text 31
rust mkdir all 0
rust entries =301
rust readdir out 63
rust remove all 0
rust gone 44
rust files 0
rust trees 0
rust slept =true
`

// conformanceTree makes the mounts and what is outside of them.
func conformanceTree(t *testing.T) (base string, mounts []sandbox.Mount) {
	base = baseDir(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(base, name) }
	for _, dir := range []string{"outside/empty", "rw/dir", "ro", "rw2"} {
		must(os.MkdirAll(in(dir), 0o755))
	}
	for name, text := range map[string]string{
		"outside/secret": "secret", "rw/file.txt": "0123456789", "rw/dir/inner.txt": "inner", "ro/ro.txt": "read only", "rw2/e1": "",
	} {
		must(os.WriteFile(in(name), []byte(text), 0o644))
	}
	for name, to := range map[string]string{
		"rw/out": "../outside", "rw/abs": in("outside/secret"), "rw/in": "file.txt", "rw/dirlink": "dir", "rw/loop": "loop",
	} {
		must(os.Symlink(to, in(name)))
	}
	must(special(t, in("rw/fifo"), in("rw/sock")))
	return base, []sandbox.Mount{
		{Source: in("rw"), Target: "/data"},
		{Source: in("ro"), Target: "/ro", ReadOnly: true},
		{Source: in("rw2"), Target: "/two"},
	}
}

// conforms runs the module at path, which must answer every case as want says,
// and change nothing outside of its mounts.
func conforms(t *testing.T, path, want string) {
	t.Helper()
	base, mounts := conformanceTree(t)
	state := func() string {
		return snapshot(t, filepath.Join(base, "outside")) + snapshot(t, filepath.Join(base, "ro"))
	}
	before := state()
	s := begin(t, path, sandbox.Spec{Mounts: mounts}, &testBroker{})
	s.stdin.Close()
	if exit := s.wait(time.Minute); exit.Code != 7 {
		t.Errorf("exit %+v, want 7; errors %q", exit, s.err)
	}
	compareLines(t, s.out.String(), want)
	if after := state(); after != before {
		t.Errorf("outside or the read-only mount has changed:\n%s\nwas\n%s", after, before)
	}
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	lines := map[string]string{}
	scan := bufio.NewScanner(strings.NewReader(got))
	for scan.Scan() {
		i := strings.LastIndexByte(scan.Text(), ' ')
		lines[scan.Text()[:max(i, 0)]] = scan.Text()[i+1:]
	}
	cases := 0
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		i := strings.LastIndexByte(line, ' ')
		cases++
		if lines[line[:i]] != line[i+1:] {
			t.Errorf("%s: got %q, want %q", line[:i], lines[line[:i]], line[i+1:])
		}
		delete(lines, line[:i])
	}
	for name, value := range lines {
		t.Errorf("%s: got %q, and nothing is expected", name, value)
	}
	t.Logf("%d cases", cases)
}

// snapshot describes every file below dir: name, mode, size, time and content.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(dir, func(path string, st os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		text := []byte(nil)
		if st.Mode().IsRegular() {
			if text, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		out.WriteString(strings.Join([]string{path, st.Mode().String(), st.ModTime().String(), string(text)}, " ") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
