package agent

import (
	"net/http"
	"os"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/review"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/wasmhost"
)

// checkManifest judges the text of a manifest, or that of an image or a module.
func (a *Agent) checkManifest(w http.ResponseWriter, r *http.Request) error {
	var req api.ManifestCheck
	if err := readBody(r, &req); err != nil {
		return err
	}
	if req.Source == "" {
		return ok(w, findings(review.Check([]byte(req.Text))))
	}
	m, err := a.manifestOf(req.Source)
	if err != nil {
		return err
	}
	if m == nil {
		return &api.Error{
			Code: "not-found", Message: req.Source + " has no manifest", Status: statusNotFound,
			Hint: "an image has it in the label " + app.ManifestLabel + ", a module in the section " + app.ManifestSection + " or in FILE" + app.ManifestSuffix,
		}
	}
	return ok(w, findings(review.CheckManifest(m)))
}

// manifestOf takes what is here; nothing is fetched for it.
func (a *Agent) manifestOf(source string) (*app.Manifest, error) {
	format, err := formatOf(source)
	if err != nil {
		return nil, err
	}
	if format == formatModule {
		return manifestOfFile(source)
	}
	if module, err := a.modules.find(source); err != nil || module != nil {
		if err != nil {
			return nil, err
		}
		if module.App.Manifest != nil {
			return module.App.Manifest, nil
		}
		return manifestOfFile(a.modules.path(module.App.Digest))
	}
	from, err := oci.ParseSource(source)
	if err != nil {
		return nil, err
	}
	img, err := a.images.Lookup(from.String())
	if err != nil {
		return nil, err
	}
	return img.Manifest, nil
}

func manifestOfFile(path string) (*app.Manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	module, err := wasmhost.Inspect(file, info.Size())
	if err != nil {
		return nil, invalid("%v", err)
	}
	if module.Manifest != nil {
		return module.Manifest, nil
	}
	return manifestBeside(path)
}

func findings(found []review.Finding) api.ManifestFindings {
	list := api.ManifestFindings{Findings: []api.ManifestFinding{}}
	for _, f := range found {
		level := "warning"
		if f.Refused {
			level = "error"
		}
		list.Findings = append(list.Findings, api.ManifestFinding{
			Level: level, Code: f.Code, Path: f.Path, Line: f.Line, Column: f.Column, Message: f.Message, Hint: f.Hint,
		})
	}
	return list
}
