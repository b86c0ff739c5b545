//go:build linux

package story

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// libraries are those of sdk/, each with its example: greet the user, count the
// people they know, list what was given, give it back.
func libraries(t *testing.T) (image string, inImage map[string][]string, modules map[string]string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	must(t, err)
	dir := t.TempDir()
	inside := filepath.Join(dir, "root")
	for _, library := range []string{"python", "js"} {
		must(t, os.CopyFS(filepath.Join(inside, "sdk", library), os.DirFS(filepath.Join(root, "sdk", library))))
	}
	image = filepath.Join(dir, "image")
	base := filepath.Join(root, ".cache", "node.tar")
	const rustc, wasi = "/usr/bin/rustc", "wasm32-wasi" // the name before Rust 1.78
	rust := func(target, out string, more ...string) [][]string {
		lib := filepath.Join(dir, "lib"+target+".rlib")
		return [][]string{
			{rustc, "--edition", "2021", "-O", "--target", target, "--crate-type", "rlib", "--crate-name", "consentry", "-o", lib, "sdk/rust/src/lib.rs"},
			append([]string{rustc, "--edition", "2021", "-O", "-C", "strip=symbols", "--target", target, "--extern", "consentry=" + lib, "-o", out, "sdk/rust/examples/ask.rs"}, more...),
		}
	}
	native, err := exec.Command("sh", "-c", rustc+" -vV | sed -n 's/^host: //p'").Output()
	must(t, err)
	steps := [][]string{
		{"go", "build", "-o", filepath.Join(inside, "go-ask"), "./sdk/go/example"},
		{"go", "build", "-o", filepath.Join(inside, "mcp-go"), "./examples/mcp-go"},
		{"env", "GOOS=wasip1", "GOARCH=wasm", "go", "build", "-o", filepath.Join(dir, "go.wasm"), "./sdk/go/example"},
		{filepath.Join(root, "scripts", "base.sh"), base, "nodejs,python3"},
	}
	steps = append(steps, rust(strings.TrimSpace(string(native)), filepath.Join(inside, "rust-ask"), "-C", "target-feature=+crt-static")...)
	steps = append(steps, rust(wasi, filepath.Join(dir, "rust.wasm"))...)
	steps = append(steps, []string{"go", "run", "./tools/mkimage", "-o", image, "-layer", base, "-folder", inside + "=/", "-cmd", "sleep,1000"})
	for _, step := range steps {
		cmd := exec.Command(step[0], step[1:]...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(step, " "), err, text)
		}
	}
	inImage = map[string][]string{
		"go": {"/go-ask"}, "rust": {"/rust-ask"}, "node": {"node", "/sdk/js/example/ask.js"},
		"python": {"env", "PYTHONPATH=/sdk/python", "PYTHONDONTWRITEBYTECODE=1", "python3", "/sdk/python/example/ask.py"},
	}
	return image, inImage, map[string]string{"go": filepath.Join(dir, "go.wasm"), "rust": filepath.Join(dir, "rust.wasm")}
}

// greeted is what every example prints when the user gave the name, withheld the
// address and gave two contacts.
const greeted = "hello Ada withheld email\ngranted 2\ngrants contacts identity\nafter 0 kinds 8\n"

func TestEveryLibraryAndAnAgentsTools(t *testing.T) {
	w := newWorld(t)
	image, inImage, modules := libraries(t)
	file := person(w)
	w.want("profile", "set", "email=") // withheld, whatever is allowed
	allow := func(app string) {
		w.want("allow", app, "data.identity", "name,email")
		w.want("allow", app, "data.contacts", "name")
	}
	w.want("run", "-d", "--quiet", "--no-input", "--name", "app", image)
	for language, command := range inImage {
		t.Run(language, func(t *testing.T) {
			line := append([]string{"exec", "app"}, command...)
			if r := w.result(line...); r.code != 1 || !strings.Contains(r.err, "no: blocked") {
				t.Errorf("before anything is allowed: exit %d %s%s", r.code, r.out, r.err)
			}
			allow("app")
			if r := w.result(line...); r.code != 0 || r.out != greeted {
				t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
			}
			if left := w.grants(); len(left) != 0 {
				t.Errorf("it was given back, and stands: %+v", left)
			}
		})
	}
	for language, module := range modules {
		t.Run(language+" module", func(t *testing.T) {
			run := []string{"run", "--rm", "--quiet", "--no-input", module}
			if r := w.result(run...); r.code != 1 || !strings.Contains(r.err, "no: denied") {
				t.Errorf("before anything is allowed: exit %d %s%s", r.code, r.out, r.err)
			}
			allow(module)
			if r := w.result(run...); r.code != 0 || r.out != greeted {
				t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
			}
		})
	}
	t.Run("tools", func(t *testing.T) { w.agentsTools(t, image, file) })
}

// agentsTools are called by the MCP SDK's own client in a sandbox.
func (w *world) agentsTools(t *testing.T, image, file string) {
	w.want("run", "-d", "--quiet", "--hold", "1m", "--name", "agent", image)
	tool := func(args ...string) (string, int) {
		r := w.result(append([]string{"exec", "agent", "/mcp-go"}, args...)...)
		return r.out + r.err, r.code
	}
	if list, _ := tool(); !strings.Contains(list, "read_contacts\n") || !strings.Contains(list, "request_data\n") {
		t.Errorf("the tools: %s", list)
	}
	const contacts = `{"fields":["name","phone?"],"purpose":"to invite people","wait":1}`
	began := time.Now()
	text, code := tool("read_contacts", contacts)
	if code != 0 || !strings.Contains(text, `"status":"pending"`) || !strings.Contains(text, `"retry":true`) {
		t.Errorf("nobody answered for %s: exit %d %s", time.Since(began), code, text)
	}
	p := w.request("name,phone")
	if p.Reason != "to invite people" {
		t.Errorf("the user reads %q", p.Reason)
	}
	w.want("allow", p.ID, "--once", "--only", "Grace")
	text, code = tool("read_contacts", contacts)
	if code != 0 || !strings.Contains(text, "Grace") || strings.Contains(text, "Alan") || !strings.Contains(text, `"withheld":["phone"]`) {
		t.Errorf("the same call, after the yes: exit %d %s", code, text)
	}
	if text, _ = tool("read_contacts", contacts); !strings.Contains(text, "pending") {
		t.Errorf("once was given twice: %s", text)
	}
	w.want("deny", w.request("name,phone").ID, "--always")
	if text, code = tool("read_contacts", contacts); code != 1 || !strings.Contains(text, `"status":"denied"`) {
		t.Errorf("after a no: exit %d %s", code, text)
	}
	w.want("allow", "agent", "data.files", "content,name", "--only", file)
	text, _ = tool("read_files", `{"fields":["content","name"],"purpose":"to read your letter"}`)
	var got struct {
		Items []struct {
			Records []struct{ Content, Name string }
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Items) != 1 || len(got.Items[0].Records) != 1 {
		t.Fatalf("the file: %s", text)
	}
	args, err := json.Marshal(map[string]any{"file": got.Items[0].Records[0].Content, "offset": 5})
	must(t, err)
	if text, _ = tool("read_file_content", string(args)); !strings.Contains(text, `"text":"reader"`) {
		t.Errorf("its content: %s", text)
	}
	w.want("revoke", "--app", "agent")
	if text, code = tool("read_file_content", string(args)); code != 1 || strings.Contains(text, "reader") {
		t.Errorf("taken back: %s", text)
	}
}

// TestToolsForAClientOfOthers calls the tools with the TypeScript SDK of MCP,
// which npm has; long.
func TestToolsForAClientOfOthers(t *testing.T) {
	w := newWorld(t)
	person(w)
	cache, err := filepath.Abs("../../.cache")
	must(t, err)
	base, layer, image := filepath.Join(cache, "node.tar"), filepath.Join(cache, "mcp-layer.tar"), filepath.Join(t.TempDir(), "image")
	w.run(exec.Command("../../scripts/base.sh", base, "nodejs,python3"))
	once(t, layer, "testdata/mcp/layer.sh")
	build := exec.Command("go", "run", "./tools/mkimage", "-o", image, "-layer", base, "-layer", layer, "-cmd", "sleep,1000")
	build.Dir = "../.."
	w.run(build)
	w.want("run", "-d", "--quiet", "--hold", "1m", "--name", "app", image)
	call := func(tool, args string) *running {
		return w.start("exec", "app", "node", "/srv/mcp/tools.js", tool, args)
	}
	const contacts = `{"fields":["name"],"purpose":"to invite people"}`
	r := call("read_contacts", contacts)
	p := w.request("name")
	time.Sleep(6 * time.Second) // it hears that the user thinks
	w.want("allow", p.ID, "--always", "--only", "Grace")
	if got := r.wait(); got.code != 0 || !strings.Contains(got.out, "tools 13 true\nfalse ") || !strings.Contains(got.out, "Grace") || strings.Contains(got.out, "Alan") || !strings.Contains(got.out, "waiting for the user") {
		t.Errorf("exit %d %s%s", got.code, got.out, got.err)
	}
	w.want("deny", "app", "data.contacts", "name")
	if got := call("read_contacts", contacts).wait(); !strings.Contains(got.out, `true {"status":"denied"`) {
		t.Errorf("after a no: exit %d %s%s", got.code, got.out, got.err)
	}
}
