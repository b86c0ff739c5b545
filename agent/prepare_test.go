package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

func TestRequestsThatNoImageCouldMakeRight(t *testing.T) {
	for _, c := range []struct {
		name string
		req  api.RunRequest
		want string // in the error
	}{
		{"name", api.RunRequest{Name: "../x"}, "../x"},
		{"upper case", api.RunRequest{Name: "Demo"}, "Demo"},
		{"environment", api.RunRequest{Env: []string{"A=1", "B"}}, `"B"`},
		{"NUL", api.RunRequest{Env: []string{"A=\x00"}}, "NAME=VALUE"},
		{"port 0", api.RunRequest{Ports: []api.PortMapping{{Host: 80}}}, "port 0"},
		{"port twice", api.RunRequest{Ports: []api.PortMapping{{Host: 80, App: 1}, {Host: 80, App: 2}}}, "80"},
		{"memory", api.RunRequest{Limits: sandbox.Limits{Memory: 1}}, "4 MiB"},
		{"cpus", api.RunRequest{Limits: sandbox.Limits{CPUs: -1}}, "negative"},
		{"hold", api.RunRequest{Hold: -time.Second}, "hold"},
	} {
		err := checkRequest(&c.req)
		var e *api.Error
		if !errors.As(err, &e) || e.Code != "invalid" || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	good := api.RunRequest{Name: "demo-1", Env: []string{"A="}, Ports: []api.PortMapping{{App: 1}, {App: 1}}}
	if err := checkRequest(&good); err != nil {
		t.Error(err)
	}
}

func TestMounts(t *testing.T) {
	home := t.TempDir()
	a := &Agent{cfg: Config{Data: filepath.Join(home, "data")}}
	folder := filepath.Join(home, "project")
	for _, dir := range []string{a.cfg.Data, folder} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(home, "link")
	if err := os.Symlink(a.cfg.Data, link); err != nil {
		t.Fatal(err)
	}
	got, err := a.mounts(api.RunRequest{
		Shares:  []api.Share{{Source: folder}},
		Volumes: []api.VolumeMount{{Name: "db", Target: "/share/project/db"}},
	})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if !got[0].ReadOnly || got[0].Target != "/share/project" || got[0].Source != folder {
		t.Errorf("a share is read-only at /share/NAME unless said otherwise, got %+v", got[0])
	}
	if !got[1].Volume || got[1].ReadOnly || filepath.Dir(got[1].Source) != filepath.Join(a.cfg.Data, "volumes") {
		t.Errorf("volume: got %+v", got[1])
	}
	for name, req := range map[string]api.RunRequest{
		"the agent's own data":    {Shares: []api.Share{{Source: a.cfg.Data}}},
		"a folder that holds it":  {Shares: []api.Share{{Source: home}}},
		"everything":              {Shares: []api.Share{{Source: "/"}}},
		"a link to it":            {Shares: []api.Share{{Source: link}}},
		"no such folder":          {Shares: []api.Share{{Source: filepath.Join(home, "none")}}},
		"target with ..":          {Shares: []api.Share{{Source: folder, Target: "/x/../y"}}},
		"relative target":         {Shares: []api.Share{{Source: folder, Target: "x"}}},
		"one target twice":        {Shares: []api.Share{{Source: folder}, {Source: folder}}},
		"a volume that is a path": {Volumes: []api.VolumeMount{{Name: "../data", Target: "/x"}}},
		"a volume on nothing":     {Volumes: []api.VolumeMount{{Name: "x"}}},
	} {
		if got, err := a.mounts(req); err == nil {
			t.Errorf("%s: mounted %+v", name, got)
		}
	}
}

func TestAppName(t *testing.T) {
	for ref, want := range map[string]string{
		"docker.io/library/nginx:1.27":           "docker.io/library/nginx",
		"localhost:5000/demo/web":                "localhost:5000/demo/web",
		"localhost:5000/demo/web:v1@sha256:0123": "localhost:5000/demo/web",
		"/home/ada/images/demo":                  "demo",
		"ghcr.io/x/y@sha256:0123":                "ghcr.io/x/y",
	} {
		if got := appName(ref); got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
}

func TestEphemeralKeepsNothingOnDisk(t *testing.T) {
	for _, ephemeral := range []bool{false, true} {
		rec := &record{Request: api.RunRequest{Ephemeral: ephemeral}, Spec: sandbox.Spec{Image: &sandbox.Image{}}}
		dir := t.TempDir()
		rec.place(dir)
		if err := makeUpper(rec.Spec.Image); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || (len(entries) == 0) != ephemeral || (rec.Spec.Image.Upper == "") != ephemeral {
			t.Errorf("ephemeral %v: %v, %v, upper %q", ephemeral, entries, err, rec.Spec.Image.Upper)
		}
	}
}
