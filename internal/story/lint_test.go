//go:build linux

package story

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/app"
)

// A manifest is judged alike as a file, in an image and beside a module, and as a
// start judges it.
func TestAManifestIsCheckedBeforeItShips(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	const right = `{"version":1,"rights":[{"kind":"data.identity","target":"email,shoe","reason":"to greet you by mail"}]}`
	file, image := filepath.Join(dir, "manifest.json"), filepath.Join(dir, "image")
	must(t, os.WriteFile(file, []byte(strings.Replace(right, `[{`, "[\n {", 1)), 0o600))
	labelled(t, image, map[string]string{app.ManifestLabel: right})
	w.want("pull", image)
	module := sample(t, "go")
	must(t, os.WriteFile(module+app.ManifestSuffix, []byte(right), 0o600))
	for what, place := range map[string]string{file: ":2:35: warning", image: ": rights/0/target: warning", module: ": rights/0/target: warning"} {
		r := w.result("manifest", "check", what)
		if r.code != 0 || !strings.Contains(r.out, what+place) || !strings.Contains(r.out, "shoe") || !strings.Contains(r.out, "[no-without]") {
			t.Errorf("%s: exit %d\n%s%s", what, r.code, r.out, r.err)
		}
		if r := w.result("manifest", "check", "--strict", what); r.code != 2 {
			t.Errorf("%s: exit %d with --strict", what, r.code)
		}
	}
	if r := w.result("manifest", "check", built.image); r.code != 1 || !strings.Contains(r.err, "consentry pull") {
		t.Errorf("an image that was not pulled: exit %d %s", r.code, r.err)
	}
	for _, bad := range []string{`{"version":1,"rights":[{"kind":"net.connect","target":"tcp/a b:1","reason":"to fetch the weather"}]}`, `{"version":1}`} {
		must(t, os.WriteFile(file, []byte(bad), 0o600))
		must(t, os.WriteFile(module+app.ManifestSuffix, []byte(bad), 0o600))
		if r := w.result("manifest", "check", file); r.code != 1 || !strings.Contains(r.out, "error") {
			t.Errorf("%s: exit %d %s", bad, r.code, r.out)
		}
		if r := w.result("run", "--rm", "--quiet", "--no-input", module); r.code == 0 || !strings.Contains(r.err, "manifest") {
			t.Errorf("%s: it starts: exit %d %s", bad, r.code, r.err)
		}
	}
}
