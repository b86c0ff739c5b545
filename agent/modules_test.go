package agent

import (
	"testing"

	"github.com/consentry/consentry/agent/api"
)

// An image has its own files at /, which a folder would hide, and no functions.
func TestImagesRefuseWhatIsForModules(t *testing.T) {
	for name, req := range map[string]api.RunRequest{
		"a folder at /": {Shares: []api.Share{{Source: t.TempDir(), Target: "/"}}},
		"a call":        {Call: &api.ModuleCall{Function: "f"}},
	} {
		if checkImageRequest(req) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := checkImageRequest(api.RunRequest{}); err != nil {
		t.Error(err)
	}
}
