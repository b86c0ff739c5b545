//go:build linux

package linuxhost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// behaviour is one thing that images rely on: a script of busybox's shell, what
// it prints and how it ends under docker and podman. The sources are the
// "docker run" reference, the OCI runtime specification (config.md,
// config-linux.md, runtime.md) and podman-run(1); where Consentry means to
// differ, why says so.
type behaviour struct {
	name   string
	script string
	change func(*sandbox.Spec)
	want   string // of standard output
	code   int
	why    string // it is not podman's
}

func asUser(s *sandbox.Spec) {
	s.Process.User = sandbox.User{UID: 1000, GID: 1001, Groups: []uint32{1001, 2002}}
}

func env(pairs ...string) func(*sandbox.Spec) {
	return func(s *sandbox.Spec) { s.Process.Env = append([]string{"PATH=/bin"}, pairs...) }
}

func in(dir string) func(*sandbox.Spec) { return func(s *sandbox.Spec) { s.Process.Dir = dir } }

func args(words ...string) func(*sandbox.Spec) {
	return func(s *sandbox.Spec) { s.Process.Args = words }
}

var behaviours = []behaviour{
	// environment and arguments
	{name: "a variable", script: "echo $A", change: env("A=b"), want: "b\n"},
	{name: "a variable with spaces and quotes", script: `echo "$A"`, change: env(`A=b  'c' "d"`), want: "b  'c' \"d\"\n"},
	{name: "an empty variable is set", script: `echo "${A-unset}|"`, change: env("A="), want: "|\n"},
	{name: "a variable with =", script: "echo $A", change: env("A=b=c"), want: "b=c\n"},
	{name: "a variable with a line break", script: `echo "$A"`, change: env("A=b\nc"), want: "b\nc\n"},
	{name: "nothing of the agent's environment", script: "env | cut -d= -f1 | sort | tr '\\n' ' '", change: env(), want: "PATH PWD SHLVL ", why: "podman adds HOME, HOSTNAME and TERM; here the agent adds HOME and TERM"},
	{name: "arguments as they are", change: args("printf", "%s|", "a b", "", "$HOME", "*"), want: "a b||$HOME|*|"},
	{name: "a program by a relative path", change: func(s *sandbox.Spec) { in("/bin")(s); args("./echo", "x")(s) }, want: "x\n"},
	{name: "a program by PATH", change: func(s *sandbox.Spec) { env("PATH=/nowhere:/bin")(s); args("echo", "y")(s) }, want: "y\n"},
	{name: "argv[0] is the name", change: args("sh", "-c", "tr '\\0' '\\n' </proc/self/cmdline | head -n 1"), want: "tr\n"},
	// directory
	{name: "the root is the directory without one", script: "pwd", want: "/\n"},
	{name: "a directory of the image", script: "pwd", change: in("/home"), want: "/home\n"},
	{name: "a directory that is missing is made", script: "pwd; stat -c '%u:%g %a' .", change: in("/a/b c"), want: "/a/b c\n0:0 755\n", why: "docker makes it, podman refuses it for a plain root"},
	// users
	{name: "root", script: "id -u; id -g", want: "0\n0\n"},
	{name: "a user with groups", script: "id -u; id -g; id -G", change: asUser, want: "1000\n1001\n1001 2002\n"},
	{name: "root without groups has its own", script: "id -G", want: "0\n"},
	{name: "a user may not write the root's files", script: "echo x >/etc/f || echo refused", change: asUser, want: "refused\n"},
	{name: "a user may write /tmp", script: "echo x >/tmp/f && stat -c '%u:%g' /tmp/f", change: asUser, want: "1000:1001\n"},
	{name: "root may write the image", script: "echo x >/bin/f && cat /bin/f", want: "x\n"},
	{name: "root may chown", script: "touch /tmp/f && chown 5:6 /tmp/f && stat -c '%u:%g' /tmp/f", want: "5:6\n"},
	{name: "root reads what it does not own", script: "touch /tmp/f; chown 5 /tmp/f; chmod 0 /tmp/f; cat /tmp/f && echo read", want: "read\n"},
	{name: "the last id that an app has", script: "chown 65535 /tmp && stat -c %u /tmp", want: "65535\n"},
	{name: "the umask", script: "umask", want: "0022\n"},
	{name: "a file has 644", script: "touch /tmp/f; stat -c %a /tmp/f", want: "644\n"},
	{name: "root keeps a set-group bit", script: "touch /tmp/f; chown 0:7 /tmp/f; chmod 2755 /tmp/f; stat -c %a /tmp/f", want: "2755\n"},
	{name: "su takes effect", script: "echo 'a:x:7:7::/:/bin/sh' >/etc/passwd; su a -c 'id -u'", want: "7\n"},
	{name: "low ports are the app's", script: "nc -l -p 80 -w 1 >/dev/null 2>&1; nc -l -p 80 2>&1 & sleep 0.2; grep -c ':0050 ' /proc/net/tcp6 /proc/net/tcp | cut -d: -f2 | sort -r | head -n 1; kill %1", want: "1\n"},
	{name: "low ports are a user's too", script: "nc -l -p 81 2>&1 & sleep 0.2; cat /proc/net/tcp6 /proc/net/tcp | grep -c ':0051 '; kill %1", change: asUser, want: "1\n", why: "docker does, podman does not"},
	// how it ends
	{name: "its code", script: "exit 42", code: 42},
	{name: "the greatest code", script: "exit 255", code: 255},
	{name: "a code is eight bits", script: "exit 256", code: 0},
	{name: "not found", change: args("nothing"), code: 127},
	{name: "not found by path", change: args("/bin/nothing"), code: 127},
	{name: "not executable", change: args("/etc/noexec"), code: 126},
	{name: "a directory", change: args("/etc"), code: 126},
	{name: "SIGKILL", script: "kill -9 $$", code: 137, why: "podman's app is PID 1, which its own signals do not end"},
	{name: "SIGTERM", script: "kill -15 $$", code: 143, why: "podman's app is PID 1, which its own signals do not end"},
	{name: "SIGSEGV", script: "kill -11 $$", code: 139, why: "podman's app is PID 1, which its own signals do not end"},
	{name: "SIGINT", script: "kill -2 $$", code: 130},
	{name: "SIGHUP", script: "kill -1 $$", code: 129, why: "podman's app is PID 1, which its own signals do not end"},
	{name: "SIGABRT", script: "kill -6 $$", code: 134, why: "podman's app is PID 1, which its own signals do not end"},
	{name: "daemons end with the app", script: "setsid sleep 60 & exit 3", code: 3},
	// processes
	{name: "it is not PID 1", script: "test $$ -gt 1 && echo other", want: "other\n", why: "an init of ours reaps, as with docker run --init"},
	{name: "PID 1 is not the app's to end", script: "kill -9 1; kill -15 1; sleep 0.1; echo lives", want: "lives\n"},
	{name: "orphans are reaped", script: "(sh -c 'sleep 0.05 &'); sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l", want: "0\n"},
	{name: "an orphan's parent is PID 1", script: "(sh -c 'sleep 5 & echo $! >/tmp/p'); sleep 0.1; grep PPid /proc/$(cat /tmp/p)/status", want: "PPid:\t1\n"},
	{name: "a session of its own", script: "cut -d' ' -f6 /proc/$$/stat | grep -cx $$", want: "1\n"},
	{name: "no signal is blocked or ignored", script: "grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2 | sort -u", want: "0000000000000000\n"},
	{name: "no terminal", script: "tty; test -t 0 || echo none", want: "not a tty\nnone\n"},
	{name: "no new privileges", script: "grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t1\n", why: "docker leaves it off"},
	{name: "a filter", script: "grep '^Seccomp:' /proc/self/status", want: "Seccomp:\t2\n"},
	{name: "open files are three", script: "ls /proc/self/fd | tr '\\n' ' '", want: "0 1 2 3 "},
	{name: "standard input is empty", script: "cat; echo end", want: "end\n"},
	{name: "standard output by name", script: "echo out >/dev/stdout", change: asUser, want: "out\n"},
	{name: "standard output by descriptor", script: "echo out >/proc/self/fd/1", want: "out\n"},
	{name: "no core files", script: "ulimit -c", want: "0\n"},
	{name: "many open files", script: "test $(ulimit -n) -ge 1024 && echo enough", want: "enough\n"},
	// devices
	{name: "the devices", script: "ls /dev | tr '\\n' ' '", want: "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ", why: "podman adds a link to kcore"},
	{name: "/dev/null swallows", script: "echo x >/dev/null; cat /dev/null; stat -c '%F %t:%T %a' /dev/null", want: "character special file 1:3 666\n"},
	{name: "/dev/zero gives", script: "head -c 3 /dev/zero | od -An -tx1", want: " 00 00 00\n"},
	{name: "/dev/full is full", script: "echo x >/dev/full 2>/dev/null || echo full", want: "full\n"},
	{name: "/dev/urandom gives", script: "head -c 8 /dev/urandom | wc -c", change: asUser, want: "8\n"},
	{name: "/dev/shm is memory for all", script: "echo x >/dev/shm/f && stat -c %a /dev/shm && grep -c ' /dev/shm tmpfs' /proc/mounts", change: asUser, want: "1777\n1\n"},
	{name: "/dev/fd", script: "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done", want: "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n"},
	{name: "no device can be made", script: "mknod /tmp/d c 1 3 2>/dev/null || echo refused", want: "refused\n"},
	{name: "a FIFO can", script: "mkfifo /tmp/p && stat -c %F /tmp/p", want: "fifo\n"},
	// proc and sys
	{name: "kcore is masked", script: "head -c 1 /proc/kcore | wc -c", want: "0\n"},
	{name: "keys are masked", script: "wc -c </proc/keys", want: "0\n"},
	{name: "timer_list is masked", script: "wc -c </proc/timer_list", want: "0\n"},
	{name: "acpi and scsi are empty", script: "ls /proc/acpi /proc/scsi 2>/dev/null | grep -v : | tr -d '\\n'", want: ""},
	{name: "firmware is empty", script: "ls /sys/firmware | wc -l", want: "0\n"},
	{name: "/proc/sys is read-only", script: "echo 1 >/proc/sys/kernel/pid_max 2>/dev/null || echo refused", want: "refused\n"},
	{name: "sysrq is out of reach", script: "echo h 2>/dev/null >/proc/sysrq-trigger; cat /proc/sysrq-trigger 2>/dev/null | wc -c", want: "0\n"},
	{name: "/sys is read-only", script: "grep ' /sys sysfs' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", want: "ro\n"},
	{name: "processes of the app only", script: "test $(ls /proc | grep -c '^[0-9]*$') -le 6 && echo few", want: "few\n"},
	{name: "the machine's uptime is not told", script: "test $(cut -d. -f1 /proc/uptime) -lt 60 && echo young", want: "young\n", why: "docker has no time namespace"},
	// names and network
	{name: "the host name", script: "hostname; cat /proc/sys/kernel/hostname", want: "boxed\nboxed\n"},
	{name: "the host name cannot be changed", script: "hostname other 2>/dev/null || hostname", want: "boxed\n"},
	{name: "files of ours", script: "cat /etc/hosts", change: func(s *sandbox.Spec) {
		s.Image.Files = map[string]string{"/etc/hosts": "127.0.0.1 localhost\n"}
	}, want: "127.0.0.1 localhost\n"},
	{name: "the loopback is up", script: "ip -o addr show lo | grep -c 127.0.0.1/8; nc -w 1 127.0.0.1 9 2>&1 | grep -c refused", want: "1\n1\n"},
	{name: "the root is writable", script: "mkdir /new && echo made", want: "made\n"},
	{name: "hard links and renames work", script: "echo x >/tmp/a; ln /tmp/a /tmp/b; mv /tmp/b /etc/c; cat /etc/c", want: "x\n"},
	{name: "a file of the image can be removed and made again", script: "rm /etc/noexec; echo new >/etc/noexec; cat /etc/noexec", want: "new\n"},
}

func TestWhatImagesRelyOn(t *testing.T) {
	if len(behaviours) < 60 {
		t.Fatalf("%d rows", len(behaviours))
	}
	b := newBench(t)
	must(t, os.WriteFile(filepath.Join(b.image, "etc/passwd"), nil, 0o644))
	for _, row := range behaviours {
		t.Run(row.name, func(t *testing.T) {
			b.t = t
			spec := b.spec(sh(row.script)...)
			if row.change != nil {
				row.change(&spec)
			}
			got := b.run(spec)
			if got.out != row.want || got.exit.Code != row.code {
				t.Errorf("%q, exit %d; want %q, exit %d; standard error %q", got.out, got.exit.Code, row.want, row.code, strings.TrimSpace(got.err))
			}
		})
	}
	b.t = t
}
