//go:build linux

package story

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shotPage is what the browser in the image paints: a blue ground, a text.
const shotPage = `<!doctype html><body style="margin:0;background:#123456"><h1 id=t style="color:#fff;font:60px DejaVu Sans">?</h1>
<script>document.getElementById("t").textContent = "visited " + location.host</script>`

// shotServer is an app that serves the files in /tmp.
const shotServer = `
import _thread, os, socket
def serve(conn):
    with conn:
        words = conn.recv(65536).split()
        try: code, body = b"200 OK", open("/tmp/" + os.path.basename(words[1].decode()), "rb").read()
        except (OSError, IndexError): code, body = b"404 Not Found", b""
        conn.sendall(b"HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body))
server = socket.create_server(("", 8000))
while True: _thread.start_new_thread(serve, (server.accept()[0],))
`

const shotGround, shotWidth, shotHeight = 0x123456, 640, 480

// A browser's own sandbox wants user namespaces, which apps are denied: this one
// does without, as in other containers.
var chromiumImage = realImage{
	name: "chromium", include: "python3-minimal,chromium,fonts-dejavu-core",
	image: []string{"-user", "www-data", "-dir", "/tmp", "-env", "HOME=/tmp", "-env", "PATH=/usr/bin:/bin", "-stop", "SIGKILL", "-port", "8000",
		"-cmd", "python3"},
}

// TestABrowserInAnImage: Chromium of Debian, in a sandbox without any right and
// as an ordinary user, paints a page that the app itself serves; long.
func TestABrowserInAnImage(t *testing.T) {
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--no-input", "--name", "browser", "-P", buildReal(t, chromiumImage), "python3", "-c", shotServer)
	w.want("exec", "browser", "python3", "-c", "import sys; open('/tmp/page.html', 'w').write(sys.argv[1])", shotPage)
	if who := w.inside("browser", "id", "-un"); who != "www-data" {
		t.Errorf("runs as %q", who)
	}
	if r := w.result("exec", "browser", "unshare", "-U", "true"); r.code == 0 {
		t.Error("an app may make user namespaces: the browser could have its own sandbox")
	}
	r := w.result("exec", "browser", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
		"--window-size=640,480", "--screenshot=/tmp/shot.png", "http://localhost:8000/page.html")
	if r.code != 0 {
		t.Fatalf("chromium: exit %d %s", r.code, r.err)
	}
	file := filepath.Join(w.home, "shot.png")
	url := strings.TrimSpace(w.want("open", "--print", "browser"))
	if r := w.command(w.machine, "curl", "-sf", "--max-time", "20", "-o", file, strings.TrimSuffix(url, "/")+"/shot.png").wait(); r.code != 0 {
		t.Fatalf("the screenshot at %s: exit %d %s", url, r.code, r.err)
	}
	w.painted(file)
	if n := w.reached(); n != 0 {
		t.Errorf("%d connections reached the network", n)
	}
}

// painted wants the size, the ground, and a text on it.
func (w *world) painted(file string) {
	w.t.Helper()
	f, err := os.Open(file)
	must(w.t, err)
	defer f.Close()
	img, err := png.Decode(f)
	must(w.t, err)
	if size := img.Bounds().Size(); size != image.Pt(shotWidth, shotHeight) {
		w.t.Errorf("the screenshot is %v", size)
	}
	if ground := rgbAt(img, shotWidth-5, shotHeight-5); ground != shotGround {
		w.t.Errorf("its ground is %#06x", ground)
	}
	white := 0
	for y := range shotHeight {
		for x := range shotWidth {
			if rgbAt(img, x, y) == 0xffffff {
				white++
			}
		}
	}
	if white < 500 || white > shotWidth*shotHeight/4 {
		w.t.Errorf("%d pixels are of the text", white)
	}
	w.t.Logf("%d pixels of text on %#06x", white, shotGround)
}

func rgbAt(img image.Image, x, y int) uint32 {
	r, g, b, _ := img.At(x, y).RGBA()
	return r>>8<<16 | g>>8<<8 | b>>8
}
