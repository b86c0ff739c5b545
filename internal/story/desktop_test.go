//go:build linux

package story

import (
	"bufio"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// desktop is a screen with a panel, a notification service and our tray, all
// real, on a bus of their own.
type desktop struct {
	w    *world
	dir  string
	env  []string
	tray *program
}

// The settings of the desktop, as xfconf keeps them.
var desktopSettings = map[string]string{
	"xfce4-panel": `<property name="configver" type="int" value="2"/>
<property name="panels" type="array"><value type="int" value="1"/><property name="panel-1" type="empty">
<property name="position" type="string" value="p=6;x=0;y=0"/><property name="position-locked" type="bool" value="true"/>
<property name="length" type="uint" value="100"/><property name="size" type="uint" value="40"/>
<property name="plugin-ids" type="array"><value type="int" value="1"/></property></property></property>
<property name="plugins" type="empty"><property name="plugin-1" type="string" value="systray"><property name="square-icons" type="bool" value="true"/></property></property>`,
	"xfce4-notifyd": `<property name="do-fadeout" type="bool" value="false"/><property name="do-slideout" type="bool" value="false"/>
<property name="initial-opacity" type="double" value="1.0"/><property name="notify-location" type="uint" value="2"/>`,
}

// What the panel's menus and the service's buttons measure, in pixels, with the
// theme and the font that are set here.
const (
	menuTop, menuItem, menuLine = 5, 25, 1
	buttonUp                    = 31 // of the middle of a button, above the lower edge
)

// How far the middle of a button is from the right edge.
var buttonLeft = map[string]int{"allow": 251, "deny": 155, "details": 59}

func (w *world) desktop() *desktop {
	w.t.Helper()
	const notifyd = "/usr/lib/*/xfce4/notifyd/xfce4-notifyd"
	service, _ := filepath.Glob(notifyd)
	for _, tool := range []string{"Xvfb", "dbus-daemon", "xfce4-panel", "xdotool", "import", "zenity"} {
		if _, err := exec.LookPath(tool); err != nil || len(service) == 0 {
			w.t.Skip("needs Xvfb, dbus-daemon, xfce4-panel, xfce4-notifyd, xdotool, ImageMagick and zenity: run make deps")
		}
	}
	d := &desktop{w: w, dir: w.t.TempDir()}
	for _, name := range []string{"home", "run", "config/xfce4/xfconf/xfce-perchannel-xml"} {
		must(w.t, os.MkdirAll(filepath.Join(d.dir, name), 0o700))
	}
	for channel, settings := range desktopSettings {
		text := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<channel name=%q version=\"1.0\">%s</channel>\n", channel, settings)
		must(w.t, os.WriteFile(filepath.Join(d.dir, "config/xfce4/xfconf/xfce-perchannel-xml", channel+".xml"), []byte(text), 0o600))
	}
	bus := "unix:path=" + filepath.Join(w.home, "bus") // short
	d.env = append(w.env, "HOME="+d.dir+"/home", "XDG_CONFIG_HOME="+d.dir+"/config", "XDG_RUNTIME_DIR="+d.dir+"/run",
		"XDG_CACHE_HOME="+d.dir+"/cache", "XDG_DATA_HOME="+d.dir+"/data", "GTK_THEME=Adwaita", "NO_AT_BRIDGE=1", "DBUS_SESSION_BUS_ADDRESS="+bus)
	d.env = append(d.env, "DISPLAY=:"+d.screen())
	d.daemon("dbus-daemon", "--session", "--nofork", "--address="+bus)
	w.until("there is a bus", func() bool { _, err := os.Stat(filepath.Join(w.home, "bus")); return err == nil })
	d.daemon("xfce4-panel", "--disable-wm-check")
	d.daemon(service[0])
	d.tray = d.daemon(filepath.Join(filepath.Dir(built.program), "consentry-tray"), "--debug")
	return d
}

// screen starts the X server and returns the number of its display.
func (d *desktop) screen() string {
	d.w.t.Helper()
	read, write, err := os.Pipe()
	must(d.w.t, err)
	defer read.Close()
	d.daemon("Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp").into(write)
	write.Close()
	line, err := bufio.NewReader(read).ReadString('\n')
	must(d.w.t, err)
	return strings.TrimSpace(line)
}

// program is one of the desktop's.
type program struct {
	*exec.Cmd
	d *desktop
}

// daemon makes a program that ends with the test. It is started here, but for
// the one whose output is wanted.
func (d *desktop) daemon(args ...string) *program {
	d.w.t.Helper()
	p := &program{exec.Command(args[0], args[1:]...), d}
	p.Env = d.env
	if args[0] != "Xvfb" {
		p.into(nil)
	}
	return p
}

func (p *program) into(out *os.File) {
	t := p.d.w.t
	t.Helper()
	log, err := os.Create(filepath.Join(p.d.dir, filepath.Base(p.Path)+".log"))
	must(t, err)
	defer log.Close()
	p.Stdout, p.Stderr = log, log
	if out != nil {
		p.Stdout = out
	}
	must(t, p.Start())
	t.Cleanup(func() {
		p.Process.Signal(syscall.SIGTERM)
		ended := time.AfterFunc(5*time.Second, func() { p.Process.Kill() })
		p.Wait()
		ended.Stop()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", filepath.Base(log.Name()), text)
		}
	})
}

func (d *desktop) x(args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = d.env
	out, err := cmd.Output()
	return string(out), err
}

// windows are the visible ones of a name that are more than a dot.
func (d *desktop) windows(name string) (list []image.Rectangle) {
	out, _ := d.x("xdotool", "search", "--onlyvisible", "--name", "^"+name+"$")
	for id := range strings.FieldsSeq(out) {
		text, err := d.x("xdotool", "getwindowgeometry", "--shell", id)
		if err != nil {
			continue // it has just gone
		}
		v := map[string]int{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			v[name], _ = strconv.Atoi(value)
		}
		if v["WIDTH"] > 60 && v["HEIGHT"] > 25 {
			list = append(list, image.Rect(v["X"], v["Y"], v["X"]+v["WIDTH"], v["Y"]+v["HEIGHT"]))
		}
	}
	return list
}

func (d *desktop) click(x, y int) {
	d.w.t.Helper()
	_, err := d.x("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "sleep", "0.1", "click", "1")
	must(d.w.t, err)
}

// notifications are those on the screen.
func (d *desktop) notifications() []image.Rectangle { return d.windows("xfce4-notifyd") }

// press waits for the one notification and presses one of its buttons.
func (d *desktop) press(button string) {
	d.w.t.Helper()
	at := d.button(button)
	d.click(at.X, at.Y)
}

// button waits for the one notification, and returns where a button of it is.
func (d *desktop) button(button string) image.Point {
	d.w.t.Helper()
	var at image.Rectangle
	d.w.until("a notification is on the screen", func() bool {
		list := d.notifications()
		if len(list) == 1 {
			at = list[0]
		}
		return len(list) == 1
	})
	return image.Pt(at.Max.X-buttonLeft[button], at.Max.Y-buttonUp)
}

// menu opens the tray's menu.
func (d *desktop) menu() image.Rectangle {
	d.w.t.Helper()
	var at image.Rectangle
	d.w.until("the menu is open", func() bool {
		if len(d.menus()) == 0 {
			d.click(20, 20)
			time.Sleep(300 * time.Millisecond)
		}
		if list := d.menus(); len(list) > 0 {
			at = list[0]
		}
		return !at.Empty()
	})
	return at
}

// menus are those that are open, from the left.
func (d *desktop) menus() []image.Rectangle {
	list := d.windows("wrapper-2.0")
	if len(list) == 2 && list[0].Min.X > list[1].Min.X {
		list[0], list[1] = list[1], list[0]
	}
	return list
}

// choose clicks on an item of a menu; lines stand before it.
func (d *desktop) choose(menu image.Rectangle, item, lines int) {
	d.w.t.Helper()
	d.click(menu.Min.X+40, menu.Min.Y+menuTop+menuItem/2+item*menuItem+lines*menuLine)
}

// ofTheApp opens the part of the menu for the one app, and clicks on an item.
func (d *desktop) ofTheApp(item int) {
	d.w.t.Helper()
	menu := d.menu()
	d.choose(menu, 1, 1)
	var below image.Rectangle
	d.w.until("the app's part of the menu is open", func() bool {
		list := d.menus()
		if len(list) == 2 {
			below = list[1]
		}
		return len(list) == 2
	})
	d.choose(below, item, 0)
}

// picture takes the screen, also into a folder that git ignores, for people.
func (d *desktop) picture(name string) image.Image {
	d.w.t.Helper()
	dir := filepath.Join("..", "..", ".cache", "shots")
	must(d.w.t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, "desktop-"+name+".png")
	_, err := d.x("import", "-window", "root", "-depth", "8", "png24:"+file)
	must(d.w.t, err)
	f, err := os.Open(file)
	must(d.w.t, err)
	defer f.Close()
	img, err := png.Decode(f)
	must(d.w.t, err)
	return img
}

// iconHas says whether the icon in the panel has a colour that is near.
func (d *desktop) iconHas(name string, colour uint32) bool {
	d.w.t.Helper()
	img := d.picture(name)
	for y := range 40 {
		for x := range 41 {
			if near(rgbAt(img, x, y), colour) {
				return true
			}
		}
	}
	return false
}

func near(x, y uint32) bool {
	const tolerance = 12
	for shift := 0; shift < 24; shift += 8 {
		if d := int(x>>shift&0xff) - int(y>>shift&0xff); d < -tolerance || d > tolerance {
			return false
		}
	}
	return true
}

// Where the box for offline, and adding an app, stand in the menu: above its lower
// edge, as the items before them come and go.
const (
	offlineAbove = menuTop + 5*menuItem + menuLine + menuItem/2
	addAbove     = offlineAbove + menuItem
)

// fromBelow clicks on an item of a menu.
func (d *desktop) fromBelow(menu image.Rectangle, above int) {
	d.w.t.Helper()
	d.click(menu.Min.X+40, menu.Max.Y-above)
}

// pointer moves it.
func (d *desktop) pointer(to image.Point) error {
	_, err := d.x("xdotool", "mousemove", strconv.Itoa(to.X), strconv.Itoa(to.Y))
	return err
}

// processorTime is what a process has used, in milliseconds (proc_pid_stat(5),
// utime and stime in hundredths).
func processorTime(t *testing.T, pid int) (used int64) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(raw), ") ")
	for _, field := range strings.Fields(rest)[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		must(t, err)
		used += ticks * 10
	}
	return used
}

// echoTime is a little longer than a no for once is remembered (consent).
const echoTime = 2500 * time.Millisecond

// The mark of the icon while a question waits (tools/trayicons).
const markColour = 0xe8890c

// A user at a desktop: the icon, its menu, and notifications that ask, with
// real clicks on what is on the screen.
func TestTheDesktop(t *testing.T) {
	w := newWorld(t)
	d := w.desktop()
	state := func() string { return string(w.inspect("app").State) }
	w.until("the icon is in the panel", func() bool {
		out, _ := d.x("xdotool", "search", "--onlyvisible", "--name", "^wrapper-2.0$", "getwindowgeometry", "--shell")
		return strings.Contains(out, "WIDTH=41")
	})
	t.Run("nothing to do", func(t *testing.T) {
		time.Sleep(2 * time.Second) // what came with the start is done
		const watched = 5 * time.Second
		var held, used int64
		pids := []int{w.agentPID(), d.tray.Process.Pid}
		for _, pid := range pids {
			held += memoryOf(t, pid)
			used -= processorTime(t, pid)
		}
		time.Sleep(watched)
		for _, pid := range pids {
			used += processorTime(t, pid)
		}
		t.Logf("agent and tray hold %d MiB, and used %d ms of a processor in %s", held>>20, used, watched)
		if held > 80<<20 || used > 50 {
			t.Errorf("agent and tray hold %d MiB, and used %d ms of a processor in %s", held>>20, used, watched)
		}
	})
	w.want("run", "-d", "--quiet", "--name", "app", built.image, "sleep", "1000")
	time.Sleep(time.Second)
	time.Sleep(time.Second) // the panel asks for the menu
	t.Run("the menu stops and launches an app", func(t *testing.T) {
		d.menu()
		d.picture("menu")
		d.ofTheApp(0)
		w.until("the app has ended", func() bool { return state() == "exited" })
		time.Sleep(time.Second)
		d.ofTheApp(0)
		w.until("the app runs again", func() bool { return state() == "running" })
	})
	ask := func() *running {
		return w.start("exec", "app", "curl", "-4sS", "--max-time", "40", "http://"+webName+"/")
	}
	waits := func() { // until an answer by a button counts
		t.Helper()
		p := w.request(webTarget)
		time.Sleep(time.Until(p.NotBefore.Add(100 * time.Millisecond)))
	}
	var button image.Point // to allow
	gone := func() {
		t.Helper()
		w.until("the notification is gone", func() bool { return len(d.notifications()) == 0 })
	}
	t.Run("deny", func(t *testing.T) {
		call := ask()
		waits()
		w.until("the icon says that a question waits", func() bool { return d.iconHas("asking", markColour) })
		if w.reached() != 0 {
			t.Error("something reached the server before an answer")
		}
		d.press("deny")
		if r := call.wait(); r.code != 7 || w.reached() != 0 {
			t.Errorf("curl's exit is %d (7 is refused), %d connections reached the server: %s", r.code, w.reached(), r.err)
		}
		gone()
		if d.iconHas("answered", markColour) {
			w.until("the icon says that none waits", func() bool { return !d.iconHas("answered", markColour) })
		}
	})
	t.Run("answered elsewhere", func(t *testing.T) {
		time.Sleep(echoTime) // a no for once is remembered
		call := ask()
		p := w.request(webTarget)
		w.until("a notification is on the screen", func() bool { return len(d.notifications()) == 1 })
		w.want("deny", p.ID)
		gone()
		if r := call.wait(); r.code != 7 {
			t.Errorf("curl's exit is %d: %s", r.code, r.err)
		}
	})
	t.Run("allow", func(t *testing.T) {
		time.Sleep(echoTime)
		call := ask()
		waits()
		w.until("a notification is on the screen", func() bool { return len(d.notifications()) == 1 })
		d.picture("notification")
		button = d.button("allow")
		d.press("allow")
		if r := call.wait(); r.code != 0 || !strings.Contains(r.out, "page of") || w.reached() != 1 {
			t.Errorf("curl's exit is %d, it got %q, %d connections reached the server: %s", r.code, r.out, w.reached(), r.err)
		}
		gone()
	})
	t.Run("a press that was meant for something else", func(t *testing.T) { // row 54
		before := w.reached()
		must(t, d.pointer(button))
		call, began := ask(), time.Now()
		seen := 0
		press := func(until time.Time) { // as fast as xdotool does
			for time.Now().Before(until) {
				if len(d.notifications()) > 0 {
					seen++
				}
				if time.Now().Before(until) {
					_, err := d.x("xdotool", "click", "1", "key", "Return")
					must(t, err)
				}
			}
		}
		press(began.Add(800 * time.Millisecond)) // no question is older by then
		p := w.request(webTarget)
		press(p.NotBefore.Add(-200 * time.Millisecond))
		t.Logf("%d presses were on a notification", seen)
		if w.request(webTarget).ID != p.ID || w.reached() != before {
			t.Error("a press in the first second counted")
		}
		time.Sleep(time.Until(p.NotBefore.Add(100 * time.Millisecond)))
		d.press("allow")
		if r := call.wait(); r.code != 0 || w.reached() != before+1 {
			t.Errorf("curl's exit is %d: %s", r.code, r.err)
		}
		gone()
	})
	t.Run("a flood", func(t *testing.T) { // row 52
		w.want("run", "-d", "--quiet", "--name", "noisy", built.image, "sleep", "1000")
		flood := w.start("exec", "noisy", "python3", "-c", fmt.Sprintf(`import socket, time
to = socket.gethostbyname(%q)
open = []
for port in range(2000, 3000):
    s = socket.socket(); s.setblocking(False)
    try: s.connect((to, port))
    except BlockingIOError: open.append(s)
print("tried", flush=True)
time.sleep(30)`, webName))
		w.until("it has tried", func() bool { return strings.Contains(flood.out.String(), "tried") })
		for n := range 3 {
			d.button("deny") // there is one
			for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); {
				if on := len(d.notifications()); on > 1 {
					t.Fatalf("%d notifications of one app are on the screen", on)
				}
			}
			if n == 0 {
				d.picture("flood")
			}
			d.press("deny")
			time.Sleep(300 * time.Millisecond)
		}
		// Asking is paused: what waits already is shown, one by one, and nothing else comes.
		const late = ":4000"
		if r := w.result("exec", "noisy", "curl", "-4sS", "--max-time", "20", "http://"+webName+late+"/"); r.code != 7 || w.waiting("tcp/"+webName+late).ID != "" {
			t.Errorf("after three dismissals it asks: curl's exit is %d (7 is refused): %s", r.code, r.err)
		}
		if on := len(d.notifications()); on > 1 {
			t.Errorf("%d notifications are on the screen", on)
		}
		w.want("rm", "-f", "noisy")
		gone()
		flood.cmd.Process.Kill()
		flood.wait()
	})
	t.Run("offline", func(t *testing.T) {
		w.want("allow", "app", "net.connect", webTarget)
		time.Sleep(time.Second)
		menu := d.menu()
		d.picture("menu-online")
		d.fromBelow(menu, offlineAbove)
		w.until("every app is offline", func() bool { r := ask().wait(); return r.code == 7 })
		time.Sleep(time.Second)
		d.fromBelow(d.menu(), offlineAbove)
		w.until("the rules decide again", func() bool { r := ask().wait(); return r.code == 0 })
	})
	t.Run("a file is chosen", func(t *testing.T) { // what becomes of it is tested in tray
		d.fromBelow(d.menu(), addAbove)
		var below image.Rectangle
		w.until("the menu of ways is open", func() bool {
			list := d.menus()
			if len(list) == 2 {
				below = list[1]
			}
			return len(list) == 2
		})
		d.choose(below, 1, 0)
		w.until("the dialog is open", func() bool { return len(d.windows("Add an app.*")) == 1 })
	})
	if r := w.result("log", "--json"); !strings.Contains(r.out, `"by":"tray"`) {
		t.Error("the ledger does not say that the tray answered")
	}
}
