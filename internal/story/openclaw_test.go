//go:build linux

package story

import (
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
)

const (
	clawGuide     = "../../docs/openclaw.md"
	clawSecret    = "choose-a-long-secret"
	clawPage      = "http://localhost:18789/"
	clawTelemetry = "tcp/telemetry.openclaw.ai:443"
	clawModel     = "tcp/api.openai.com:443"
)

// clawSteps are the commands of the guide, in its order.
var clawSteps = []string{
	"examples/openclaw/build.sh",
	"consentry run -d --name openclaw -p 18789 -e OPENCLAW_GATEWAY_TOKEN=" + clawSecret + " .cache/openclaw/image",
	"consentry review",
	"consentry review ID --ask",
	clawPage + "#token=" + clawSecret,
	"consentry requests",
	"consentry deny ID --always",
	"consentry allow openclaw net.connect " + clawModel,
	"consentry why openclaw " + clawModel,
	"consentry grants",
	"consentry revoke ID",
	"consentry stop openclaw",
}

// TestGuideOfOpenClaw: the guide has the commands that TestOpenClaw runs, and
// no others; the manifest is one.
func TestGuideOfOpenClaw(t *testing.T) {
	raw, err := os.ReadFile(clawGuide)
	must(t, err)
	var commands []string
	for line := range strings.Lines(string(raw)) {
		if command, is := strings.CutPrefix(line, "    "); is {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if got, want := strings.Join(commands, "\n"), strings.Join(clawSteps, "\n"); got != want {
		t.Errorf("the guide's commands are\n%s\nthe test's are\n%s", got, want)
	}
	manifest, err := os.ReadFile("../../examples/openclaw/manifest.json")
	must(t, err)
	m, err := app.ParseManifest(manifest)
	if err != nil || len(m.Rights) == 0 {
		t.Errorf("the manifest: %+v, %v", m, err)
	}
}

// TestOpenClaw follows the guide. It builds an image of 320 MB of npm packages,
// so it is one of the long tests.
func TestOpenClaw(t *testing.T) {
	w := newWorld(t)
	build := exec.Command(clawSteps[0])
	build.Dir = "../.."
	w.run(build)

	run := w.claw(clawSteps[1], "")
	r := w.review()
	if len(r.Lines) != 3 {
		t.Errorf("the manifest asks for %+v", r.Lines)
	}
	w.clawOK(clawSteps[3], r.ID)
	if r := run.wait(); r.code != 0 {
		t.Fatalf("run: exit %d %s", r.code, r.err)
	}
	w.untilAtLast("the gateway answers", w.clawIsWell)

	p := w.clawRequest(clawTelemetry)
	if w.reached() != 0 {
		t.Error("something reached the network before an answer")
	}
	w.clawOK(clawSteps[6], p.ID)
	w.clawScreenshot()

	w.clawOK(clawSteps[7], "")
	if out := w.clawOK(clawSteps[8], ""); !strings.Contains(out, "allow") {
		t.Errorf("why: %s", out)
	}
	w.clawOK(clawSteps[9], "")
	w.clawOK(clawSteps[10], w.clawGrant().ID)
	if g := w.clawGrant(); !w.clawIsWell() || g.ID != "" {
		t.Errorf("at the end: well %v, %+v", w.clawIsWell(), g)
	}
	w.clawOK(clawSteps[11], "")
}

// clawGrant is the one for the model, if it is there.
func (w *world) clawGrant() api.Grant {
	w.t.Helper()
	for _, g := range w.grants() {
		if g.Target == clawModel {
			return g
		}
	}
	return api.Grant{}
}

// claw starts a command of the guide.
func (w *world) claw(step, id string) *running {
	w.t.Helper()
	fields := strings.Fields(strings.ReplaceAll(step, "ID", id))[1:]
	for i, f := range fields {
		if strings.HasPrefix(f, ".cache/") {
			abs, err := filepath.Abs(filepath.Join("../..", f))
			must(w.t, err)
			fields[i] = abs
		}
	}
	return w.start(fields...)
}

func (w *world) clawOK(step, id string) string {
	w.t.Helper()
	r := w.claw(step, id).wait()
	if r.code != 0 {
		w.t.Fatalf("%s: exit %d %s", step, r.code, r.err)
	}
	return r.out
}

// clawRequest waits longer than request: OpenClaw takes its time.
func (w *world) clawRequest(target string) (p api.Prompt) {
	w.t.Helper()
	w.untilAtLast(target+" is asked for", func() bool {
		return strings.Contains(w.result("requests", "--json").out, target)
	})
	return w.request(target)
}

func (w *world) clawIsWell() bool {
	return w.command(w.machine, "curl", "-sf", "--max-time", "5", clawPage+"healthz").wait().code == 0
}

// clawScreenshot opens the page in a browser, and wants it to have connected to
// the gateway and painted.
func (w *world) clawScreenshot() {
	w.t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		w.t.Fatal("needs chromium: run make deps")
	}
	file := filepath.Join(w.home, "page.png")
	r := w.command(w.machine, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--window-size=1280,900", "--virtual-time-budget=20000", "--user-data-dir="+w.t.TempDir(), "--screenshot="+file, clawSteps[4]).wait()
	if r.code != 0 {
		w.t.Fatalf("chromium: exit %d %s", r.code, r.err)
	}
	if log := w.result("logs", "openclaw").out; !strings.Contains(log, "webchat") {
		w.t.Errorf("the page did not connect to the gateway:\n%s", log)
	}
	if colours := coloursOf(w.t, file); colours < 50 {
		w.t.Errorf("the page shows %d colours", colours)
	}
	if keep := os.Getenv("STORY_SCREENSHOT"); keep != "" {
		must(w.t, exec.Command("cp", file, keep).Run())
	}
}

// coloursOf counts colours: a blank page has one.
func coloursOf(t *testing.T, file string) int {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	must(t, err)
	seen := map[[3]uint32]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 2 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 2 {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}
