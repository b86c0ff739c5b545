package clienttest

import (
	"archive/tar"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// tarText stands for an archive.
const tarText = "this is the tar stream of a volume\n"

func someVolumes() []api.Volume {
	return []api.Volume{
		{Name: "0123456789ab-0-data", Created: Now.Add(-time.Hour), Bytes: 4096, Files: 2, OfRun: "0123456789abcdef", Target: "/data"},
		{Name: "db", Created: Now.Add(-48 * time.Hour), Bytes: 12_300_000, Files: 41, Runs: []string{"web"}},
	}
}

func findVolume(name string) (api.Volume, error) {
	for _, v := range someVolumes() {
		if v.Name == name {
			return v, nil
		}
	}
	return api.Volume{}, &api.Error{Code: "not-found", Message: "volume " + name + ": no such volume", Hint: "consentry volume ls", Status: http.StatusNotFound}
}

func (a *Agent) diskCalls() map[string]func(*http.Request) (any, error) {
	one := func(r *http.Request) (any, error) { return findVolume(r.PathValue("name")) }
	return map[string]func(*http.Request) (any, error){
		"GET /v1/volumes":           func(*http.Request) (any, error) { return someVolumes(), nil },
		"POST /v1/volumes":          func(*http.Request) (any, error) { return api.Volume{Name: "new", Created: Now}, nil },
		"GET /v1/volumes/{name}":    one,
		"DELETE /v1/volumes/{name}": one,
		"POST /v1/volumes/prune": func(*http.Request) (any, error) {
			return api.RemovedVolumes{Names: []string{"0123456789ab-0-data"}, Bytes: 4096}, nil
		},
		"PUT /v1/volumes/{name}/restore": restoreVolume,
		"GET /v1/signers": func(*http.Request) (any, error) {
			return []api.Signer{{Repository: "docker.io/library/web", ID: "ab12", Key: "PEM"}}, nil
		},
		"DELETE /v1/signers": func(*http.Request) (any, error) { return struct{}{}, nil },
		"GET /v1/runs/{ref}/changes": func(*http.Request) (any, error) {
			return []api.Change{{Kind: "C", Path: "/etc"}, {Kind: "A", Path: "/etc/new\x1b[2J"}}, nil
		},
		"GET /v1/runs/{ref}/snapshots": func(*http.Request) (any, error) {
			return []api.Snapshot{{Name: "first", Created: Now.Add(-time.Hour), Bytes: 4096}}, nil
		},
		"POST /v1/runs/{ref}/snapshots": func(*http.Request) (any, error) {
			return api.Snapshot{Name: "20261124-120000", Created: Now, Bytes: 4096}, nil
		},
		"POST /v1/runs/{ref}/snapshots/{name}/restore": a.known,
		"DELETE /v1/runs/{ref}/snapshots/{name}":       func(*http.Request) (any, error) { return struct{}{}, nil },
		"GET /v1/runs/{ref}/snapshots/{name}/changes": func(*http.Request) (any, error) {
			return []api.Change{{Kind: "D", Path: "/gone"}}, nil
		},
		"PUT /v1/runs/{ref}/files": takeFiles,
		"GET /v1/df": func(*http.Request) (any, error) {
			return []api.DiskUse{
				{What: "images", Count: 3, Active: 1, Bytes: 900_000_000, Reclaimable: 600_000_000, Shared: 120_000_000, Remedy: "consentry prune"},
				{What: "volumes", Count: 1, Active: 1, Bytes: 12_300_000, Remedy: "consentry volume prune --all"},
			}, nil
		},
	}
}

func restoreVolume(r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != tarText || r.Header.Get("Content-Type") != api.TarType {
		return nil, &api.Error{Code: "invalid", Message: "that is no archive", Status: http.StatusBadRequest}
	}
	return api.Volume{Name: r.PathValue("name"), Created: Now, Bytes: int64(len(body)), Files: 1}, nil
}

// takeFiles knows the directory /etc.
func takeFiles(r *http.Request) (any, error) {
	if r.FormValue("path") != "/etc" {
		return nil, &api.Error{Code: "no-directory", Message: "no directory to copy to", Status: http.StatusNotFound}
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(raw), "the configuration") {
		return nil, &api.Error{Code: "invalid", Message: "that is no archive", Status: http.StatusBadRequest}
	}
	return struct{}{}, nil
}

// giveFiles has one file.
func (a *Agent) giveFiles(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("path") != "/etc/motd" {
		fail(w, notFound("such file"))
		return
	}
	tw := tar.NewWriter(w)
	_ = tw.WriteHeader(&tar.Header{Name: "motd", Mode: 0o644, Size: 6, ModTime: Now})
	_, _ = io.WriteString(tw, "hello\n")
	_ = tw.Close()
}

func (a *Agent) backupVolume(w http.ResponseWriter, r *http.Request) {
	if _, err := findVolume(r.PathValue("name")); err != nil {
		fail(w, err)
		return
	}
	_, _ = io.WriteString(w, tarText)
	if r.PathValue("name") != "db" { // it breaks off
		panic(http.ErrAbortHandler)
	}
}
