package agent

import (
	"io"
	"net/http"
	"os"

	"github.com/consentry/consentry/agent/api"
)

// exportImage sends the merged tree of an image: as a tar stream, or as an ext4
// file system.
func (a *Agent) exportImage(w http.ResponseWriter, r *http.Request) error {
	ref := r.URL.Query().Get("ref")
	if _, err := a.images.Lookup(ref); err != nil {
		return err
	}
	var send func() error
	switch form := r.URL.Query().Get("form"); form {
	case api.ExportTar:
		send = func() error { return a.images.Export(r.Context(), ref, w) }
	case api.ExportExt4:
		path, err := a.images.Disk(r.Context(), ref)
		if err != nil {
			return err
		}
		send = func() error { return sendFile(w, path) }
	default:
		return invalid("form %q: use %s or %s", form, api.ExportTar, api.ExportExt4)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := send(); err != nil {
		a.cfg.Log.Error("image not exported", "image", ref, "error", err)
		panic(http.ErrAbortHandler) // the file has no end, and the client an error
	}
	return nil
}

func sendFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
