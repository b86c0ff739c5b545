// Package browser drives a headless Chromium in tests, over the pipe of its
// debugging protocol (https://chromedevtools.github.io/devtools-protocol/).
// Clicks and keys are real input events: what a page refuses to a user it
// refuses to a test.
package browser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take on a machine that does other things.
const patience = 30 * time.Second

// Browser is one Chromium with one page.
type Browser struct {
	t       testing.TB
	to      *os.File
	session string

	mu       sync.Mutex
	next     int
	waiting  map[int]chan reply
	problems []string
}

type reply struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Find returns the path of a Chromium, "" if there is none.
func Find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts the browser; command makes the process, so that it can be put
// into a network namespace, nil runs it here. It ends with the test.
func Start(t testing.TB, command func(args ...string) *exec.Cmd) *Browser {
	t.Helper()
	path := Find()
	if path == "" {
		t.Skip("needs chromium: run make deps")
	}
	if command == nil {
		command = func(args ...string) *exec.Cmd { return exec.Command(args[0], args[1:]...) }
	}
	cmd := command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{in, out} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	b := &Browser{t: t, to: to, waiting: map[int]chan reply{}}
	read := make(chan struct{})
	go func() { defer close(read); b.read(from) }()
	t.Cleanup(func() {
		b.call("", "Browser.close", nil, nil) //nolint:errcheck // it is ended below
		to.Close()
		hard := time.AfterFunc(patience/3, func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
		cmd.Wait()                                                        //nolint:errcheck // however it ended
		hard.Stop()
		from.Close()
		<-read
	})
	b.attach()
	return b
}

func (b *Browser) attach() {
	b.t.Helper()
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.must("", "Target.createTarget", object{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.must("", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.must(b.session, domain+".enable", nil, nil)
	}
}

type object = map[string]any

// read takes answers and events until the browser has gone.
func (b *Browser) read(from *os.File) {
	scan := bufio.NewScanner(from)
	scan.Buffer(nil, 64<<20)
	scan.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	for scan.Scan() {
		var r reply
		if json.Unmarshal(scan.Bytes(), &r) != nil {
			continue
		}
		b.mu.Lock()
		if r.ID == 0 {
			b.event(r)
		} else if c := b.waiting[r.ID]; c != nil {
			c <- r
			delete(b.waiting, r.ID)
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, c := range b.waiting {
		close(c)
		delete(b.waiting, id)
	}
}

// event keeps what a console would show as an error or a warning; mu is held.
func (b *Browser) event(r reply) {
	switch r.Method {
	case "Runtime.exceptionThrown":
		b.problems = append(b.problems, string(r.Params))
	case "Runtime.consoleAPICalled", "Log.entryAdded":
		var p struct {
			Type  string `json:"type"`
			Entry struct {
				Level, Text, URL string
			} `json:"entry"`
		}
		if json.Unmarshal(r.Params, &p) != nil || p.Entry.Level != "error" && p.Entry.Level != "warning" && p.Type != "error" && p.Type != "warning" {
			return
		}
		b.problems = append(b.problems, string(r.Params))
	}
}

// Problems are the errors and warnings of the page's console since the last call.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.problems
	b.problems = nil
	return found
}

func (b *Browser) call(session, method string, params, result any) error {
	b.mu.Lock()
	b.next++
	id, c := b.next, make(chan reply, 1)
	b.waiting[id] = c
	b.mu.Unlock()
	message := object{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(raw, 0)); err != nil {
		return err
	}
	select {
	case r, open := <-c:
		switch {
		case !open:
			return fmt.Errorf("%s: the browser has ended", method)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer in %s", method, patience)
	}
}

func (b *Browser) must(session, method string, params, result any) {
	b.t.Helper()
	if err := b.call(session, method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

// Go opens an address; an error is what the browser says of it, "" for none.
func (b *Browser) Go(url string) (problem string) {
	b.t.Helper()
	var result struct {
		ErrorText string `json:"errorText"`
	}
	b.must(b.session, "Page.navigate", object{"url": url}, &result)
	return result.ErrorText
}

// Eval runs a script in the page and returns its value as text; what throws is
// returned as an error. A page that is being left has no value yet: see Until.
func (b *Browser) Eval(script string) (string, error) {
	var result struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	err := b.call(b.session, "Runtime.evaluate", object{"expression": script, "awaitPromise": true, "returnByValue": true}, &result)
	if err == nil && result.ExceptionDetails != nil {
		err = fmt.Errorf("%s: %s", script, result.ExceptionDetails)
	}
	if result.Result.Value == nil {
		return "", err
	}
	return fmt.Sprint(result.Result.Value), err
}

// Until waits until a script's value is true.
func (b *Browser) Until(what, script string) {
	b.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		value, err := b.Eval(script)
		if err == nil && value == "true" {
			return
		}
		last = err
	}
	text, _ := b.Eval("document.body.innerText")
	b.t.Fatalf("%s have passed and it is not so that %s (%v); the page says:\n%s", patience, what, last, text)
}

// Has waits for a text on the page.
func (b *Browser) Has(text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(text)
	b.Until("the page has "+text, "document.body.innerText.includes("+string(quoted)+")")
}

// Click clicks in the middle of the first element that the selector finds,
// with text in it if text is not "". It waits until the page has come whole, or
// what is clicked on may move away.
func (b *Browser) Click(selector, text string) {
	b.t.Helper()
	find, _ := json.Marshal([]string{selector, text})
	script := `(([s, text]) => {
		const e = [...document.querySelectorAll(s)].find(e => e.textContent.includes(text));
		if (!e || document.readyState != "complete") return "";
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(), x = r.left + r.width / 2, y = r.top + r.height / 2;
		return e.contains(document.elementFromPoint(x, y)) ? x + " " + y : "";
	})(` + string(find) + `)`
	var x, y float64
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		value, err := b.Eval(script)
		if _, bad := fmt.Sscan(value, &x, &y); err == nil && bad == nil {
			break
		}
		if time.Now().After(end) {
			b.t.Fatalf("no %s with %q to click on: %v", selector, text, err)
		}
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.must(b.session, "Input.dispatchMouseEvent", object{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}, nil)
	}
}

// Key presses a key that has a name: "Enter", "Tab".
func (b *Browser) Key(name string) {
	b.t.Helper()
	down := object{"type": "keyDown", "key": name, "code": name}
	switch name {
	case "Enter":
		down["windowsVirtualKeyCode"], down["text"] = 13, "\r"
	case "Tab":
		down["windowsVirtualKeyCode"] = 9
	}
	b.must(b.session, "Input.dispatchKeyEvent", down, nil)
	b.must(b.session, "Input.dispatchKeyEvent", object{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": down["windowsVirtualKeyCode"]}, nil)
}

// Look sets the width of the window, in CSS pixels, and light or dark.
func (b *Browser) Look(width, height int, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.must(b.session, "Emulation.setDeviceMetricsOverride", object{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.must(b.session, "Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Shot writes the whole page as a PNG.
func (b *Browser) Shot(file string) {
	b.t.Helper()
	var result struct {
		Data string `json:"data"`
	}
	b.must(b.session, "Page.captureScreenshot", object{"format": "png", "captureBeyondViewport": true}, &result)
	raw, err := base64.StdEncoding.DecodeString(result.Data)
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
