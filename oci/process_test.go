package oci

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/sandbox"
)

// accountLayers hide one passwd behind another, one behind a link, and remove
// a group file.
func accountLayers(t *testing.T) *Image {
	t.Helper()
	img := imageOf(t, v1.Config{},
		layerOf(t, file{name: "etc/"}, file{name: "etc/passwd", body: "root:x:0:0::/old:/bin/sh\nlost:x:7:7::/:/bin/sh\n"},
			file{name: "usr/"}, file{name: "usr/accounts", body: "root:x:0:0::/root:/bin/sh\nweb:x:33:34:Web:/srv/www:/bin/sh\n1000:x:55:56::/num:/bin/sh\nhuge:x:70000:70000::/:\nbroken\n"},
			file{name: "etc/group", body: "nobody:x:99:web\n"}),
		layerOf(t, file{name: "etc/"}, file{name: "etc/passwd", kind: '2', link: "../../../../usr/accounts"},
			file{name: "etc/.wh.group"}),
		layerOf(t, file{name: "etc/"}, file{name: "etc/group", body: "root:x:0:\nweb:x:34:\nlog:x:4:root,web\ntape:x:26:web\n"}))
	s, _ := openTest(t)
	got, err := s.Pull(t.Context(), source(t, writeLayout(t, img)), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUser(t *testing.T) {
	img := accountLayers(t)
	img.Config.Cmd = []string{"x"}
	for _, c := range []struct {
		spec, home, fails string
		want              sandbox.User
	}{
		{spec: "", want: sandbox.User{Groups: []uint32{4}}, home: "/root"},
		{spec: "web", want: sandbox.User{UID: 33, GID: 34, Groups: []uint32{4, 26}}, home: "/srv/www"},
		{spec: "33", want: sandbox.User{UID: 33, GID: 34, Groups: []uint32{4, 26}}, home: "/srv/www"},
		{spec: "web:log", want: sandbox.User{UID: 33, GID: 4}, home: "/srv/www"},
		{spec: "web:77", want: sandbox.User{UID: 33, GID: 77}, home: "/srv/www"},
		{spec: "1234", want: sandbox.User{UID: 1234}, home: "/"},
		{spec: "1234:5678", want: sandbox.User{UID: 1234, GID: 5678}, home: "/"},
		{spec: "1000", want: sandbox.User{UID: 55, GID: 56}, home: "/num"},
		{spec: "lost", fails: `no user "lost"`}, // only in the file below
		{spec: "web:nobody", fails: `no group "nobody"`},
		{spec: "huge", fails: "--user"},
		{spec: "70000", fails: "--user"},
		{spec: "-1", fails: "--user"},
		{spec: "4294967296", fails: "--user"},
	} {
		p, err := img.Process(Overrides{User: c.spec})
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("user %q: %+v, %v, want an error with %q", c.spec, p.User, err, c.fails)
			}
			continue
		}
		if err != nil || p.User.UID != c.want.UID || p.User.GID != c.want.GID || !slices.Equal(p.User.Groups, c.want.Groups) {
			t.Errorf("user %q: %+v, %v, want %+v", c.spec, p.User, err, c.want)
		}
		if !slices.Contains(p.Env, "HOME="+c.home) {
			t.Errorf("user %q: environment %q, want HOME=%s", c.spec, p.Env, c.home)
		}
	}
}

// TestHostPasswd: a link out of the image must not read the host's accounts.
func TestHostPasswd(t *testing.T) {
	img := imageOf(t, v1.Config{Cmd: []string{"x"}}, layerOf(t, file{name: "etc/"},
		file{name: "etc/passwd", kind: '2', link: "/../../../../../../etc/hostname"},
		file{name: "etc/group", kind: '6'}))
	s, _ := openTest(t)
	got, err := s.Pull(t.Context(), source(t, writeLayout(t, img)), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Process(Overrides{}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a FIFO as /etc/group: %v", err)
	}
	if _, err := got.Process(Overrides{User: "root"}); err == nil {
		t.Error("found a user in a file of the host")
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		what            string
		entrypoint, cmd []string
		o               Overrides
		want            string // "" is an error
	}{
		{"cmd", nil, []string{"a", "b"}, Overrides{}, "a b"},
		{"entrypoint and cmd", []string{"e"}, []string{"a"}, Overrides{}, "e a"},
		{"args replace cmd", []string{"e"}, []string{"a"}, Overrides{Args: []string{"x", "y"}}, "e x y"},
		{"entrypoint drops cmd", []string{"e"}, []string{"a"}, Overrides{EntrypointSet: true, Entrypoint: []string{"f"}}, "f"},
		{"entrypoint with args", []string{"e"}, []string{"a"}, Overrides{EntrypointSet: true, Entrypoint: []string{"f"}, Args: []string{"x"}}, "f x"},
		{"entrypoint taken away", []string{"e"}, []string{"a"}, Overrides{EntrypointSet: true, Args: []string{"x"}}, "x"},
		{"nothing", nil, nil, Overrides{}, ""},
		{"nothing left", []string{"e"}, []string{"a"}, Overrides{EntrypointSet: true}, ""},
		{"NUL", nil, []string{"a\x00b"}, Overrides{}, ""},
	} {
		img := &Image{Config: v1.Config{Entrypoint: c.entrypoint, Cmd: c.cmd}, Layers: []string{t.TempDir()}}
		p, err := img.Process(c.o)
		if got := strings.Join(p.Args, " "); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", c.what, got, err, c.want)
		}
	}
}

func TestEnvironmentAndDir(t *testing.T) {
	img := &Image{Config: v1.Config{Cmd: []string{"x"}, WorkingDir: "../../w/../srv", Env: []string{"A=1", "B=2", "A=3", "broken"}}, Layers: []string{t.TempDir()}}
	p, err := img.Process(Overrides{Env: []string{"B", "C=4", "D=", "HOME=/h"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"A=3", "broken=", "PATH=" + defaultPath, "HOME=/h", "C=4", "D="}
	if !slices.Equal(p.Env, want) {
		t.Errorf("environment %q, want %q", p.Env, want)
	}
	if p.Dir != "/srv" {
		t.Errorf("directory %q, want /srv", p.Dir)
	}
	if p, err = img.Process(Overrides{WorkDir: "/../../etc"}); err != nil || p.Dir != "/etc" {
		t.Errorf("directory %q, %v, want /etc", p.Dir, err)
	}
	if _, err := img.Process(Overrides{Env: []string{"=x"}}); err == nil {
		t.Error("took an environment without a name")
	}
}

func TestSignalsPortsVolumes(t *testing.T) {
	for s, want := range map[string]sandbox.Signal{
		"": 0, "SIGTERM": 15, "term": 15, "9": 9, "SIGRTMIN+3": 37, "SIGRTMAX-1": 63, "RTMIN+99": 0, "SIGRTMAX-40": 0,
		"0": 0, "65": 0, "-1": 0, "SIGWINCH": 28, "NOSUCH": 0,
	} {
		if got := (&Image{Config: v1.Config{StopSignal: s}}).StopSignal(); got != want {
			t.Errorf("signal %q is %d, want %d", s, got, want)
		}
	}
	none := struct{}{}
	img := &Image{Config: v1.Config{
		ExposedPorts: map[string]struct{}{"80/tcp": none, "443": none, "53/udp": none, "8000-8002/tcp": none, "0": none, "70000": none, "1-65535": none, "x": none},
		Volumes:      map[string]struct{}{"/data": none, "relative": none, "/": none, "/../../up": none},
	}}
	if got, want := img.ExposedPorts("tcp"), []uint16{80, 443, 8000, 8001, 8002}; !slices.Equal(got, want) {
		t.Errorf("ports %v, want %v", got, want)
	}
	if got, want := img.Volumes(), []string{"/data", "/relative", "/up"}; !slices.Equal(got, want) {
		t.Errorf("volumes %v, want %v", got, want)
	}
}

func TestParseSource(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		in, want string
		kind     Kind
	}{
		{"nginx", "docker.io/library/nginx:latest", Registry},
		{"docker.io/library/nginx:1", "docker.io/library/nginx:1", Registry},
		{"localhost:5000/a/b@sha256:" + strings.Repeat("0", 64), "localhost:5000/a/b@sha256:" + strings.Repeat("0", 64), Registry},
		{dir, dir, Layout},
		{dir + "/:v1", dir + ":v1", 0},
		{dir + ":v1", dir + ":v1", Layout},
		{"Bad Name", "", 0}, {"a:b:c", "", 0}, {"", "", 0}, {"./here", "", 0}, {filepath.Join(dir, "missing"), "", 0}, {"/dev/null", "", 0},
	} {
		src, err := ParseSource(c.in)
		if c.kind == 0 {
			if err == nil && c.want == "" {
				t.Errorf("%q: took it as %v", c.in, src)
			}
			continue
		}
		if err != nil || src.Kind != c.kind || src.String() != c.want {
			t.Errorf("%q: %v (%d), %v, want %s", c.in, src, src.Kind, err, c.want)
		}
	}
}
