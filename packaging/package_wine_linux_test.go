package packaging_test

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	wine64     = "/usr/lib/wine/wine64"
	wineserver = "/usr/lib/wine/wineserver64"
)

// wine is a Windows of its own folder.
type wine struct {
	t      *testing.T
	prefix string
	env    []string
}

// newWine makes the folder once: it takes half a minute.
func newWine(t *testing.T) wine {
	t.Helper()
	need(t, wine64, wineserver)
	prefix, err := filepath.Abs("../.cache/wine/packages")
	if err != nil {
		t.Fatal(err)
	}
	w := wine{t, prefix, []string{"WINEPREFIX=" + prefix, "WINEARCH=win64", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree=;mshtml=", "DISPLAY="}}
	t.Cleanup(func() { // also what installers have started
		kill := exec.Command(wineserver, "-k")
		kill.Env = append(os.Environ(), w.env...)
		kill.Run()
	})
	run(t, command("scripts/wine.sh", prefix))
	return w
}

func (w wine) run(args ...string) string {
	w.t.Helper()
	return run(w.t, command(append([]string{"timeout", "120", wine64}, args...)...), w.env...)
}

// value of the user's registry, "" where there is none.
func (w wine) value(key, name string) string {
	w.t.Helper()
	cmd := command(wine64, "reg", "query", `HKCU\`+key, "/v", name)
	cmd.Env = append(os.Environ(), w.env...)
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		for _, kind := range []string{"REG_SZ", "REG_EXPAND_SZ"} {
			if before, after, found := strings.Cut(line, kind); found && strings.TrimSpace(before) == name {
				return strings.TrimSpace(after)
			}
		}
	}
	return ""
}

const (
	runKey   = `Software\Microsoft\Windows\CurrentVersion\Run`
	setupKey = `Software\Microsoft\Windows\CurrentVersion\Uninstall\Consentry`
)

// installed says whether everything is there, as it has to be, or nothing is.
func (w wine) installed(want bool, atLogin bool) {
	w.t.Helper()
	found, _ := filepath.Glob(filepath.Join(w.prefix, "drive_c/users/*/AppData/Local/Programs/Consentry/*.exe"))
	there := map[string]bool{}
	for _, path := range found {
		there[filepath.Base(path)] = true
	}
	for _, name := range []string{"consentry.exe", "consentry-agent.exe", "consentry-tray.exe"} {
		if there[name] != want {
			w.t.Errorf("%s is there: %v", name, there[name])
		}
	}
	if !want && len(found) > 0 {
		w.t.Errorf("left: %v", found)
	}
	links, _ := filepath.Glob(filepath.Join(w.prefix, "drive_c/users/*/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Consentry.lnk"))
	if (len(links) == 1) != want {
		w.t.Errorf("in the start menu: %v", links)
	}
	line := w.value(runKey, "Consentry")
	if (line != "") != atLogin || atLogin && (!strings.HasPrefix(line, `"C:\`) || !strings.HasSuffix(line, `\Programs\Consentry\consentry-tray.exe"`)) {
		w.t.Errorf("the Run key says %q", line)
	}
	if path := w.value("Environment", "Path"); strings.Contains(path, `\Programs\Consentry`) != want {
		w.t.Errorf("the user's Path is %q", path)
	}
}

// screen is an X server on which Windows has a desktop.
type screen struct {
	wine
	display string
}

// start runs something until the test ends.
func (w wine) start(cmd *exec.Cmd) *exec.Cmd {
	w.t.Helper()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func (w wine) screen() screen {
	w.t.Helper()
	need(w.t, "Xvfb", "xdotool")
	read, write, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer read.Close()
	// Not one that X chooses: two that choose at once take each other's socket away.
	server := exec.Command("Xvfb", fmt.Sprintf(":%d", 100+os.Getpid()%1000), "-displayfd", "3", "-screen", "0", "800x600x24", "-nolisten", "tcp")
	server.ExtraFiles = []*os.File{write}
	w.start(server)
	write.Close()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	s := screen{w, ":" + strings.TrimSpace(line)}
	s.env = append(slices.DeleteFunc(slices.Clone(w.env), func(v string) bool { return strings.HasPrefix(v, "DISPLAY=") }), "DISPLAY="+s.display)
	s.windows("explorer", "/desktop=test,800x600")
	return s
}

// windows starts a program of Windows.
func (s screen) windows(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(wine64, args...)
	cmd.Env = append(os.Environ(), s.env...)
	return s.start(cmd)
}

func (s screen) x(args ...string) string {
	cmd := exec.Command("xdotool", args...)
	cmd.Env = append(os.Environ(), s.env...)
	out, _ := cmd.Output() // nothing is found yet
	return string(out)
}

func (s screen) until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if is() {
			return
		}
	}
	s.t.Fatalf("it is not so that %s", what)
}

// choose opens the menu of the one icon, and clicks at a height above its lower
// edge, in pixels, until something is so. While there is no agent the menu is short.
func (s screen) choose(above int, what string, is func() bool) {
	s.t.Helper()
	s.until("the icon is there", func() bool { return s.x("search", "--onlyvisible", "--name", "^Wine System Tray$") != "" })
	s.until(what, func() bool {
		s.x("mousemove", "13", "32", "click", "3", "sleep", "1")
		menu := s.menu()
		if menu == nil || menu["HEIGHT"] < offlineAbove {
			s.x("key", "Escape")
			return false
		}
		s.x("mousemove", strconv.Itoa(menu["X"]+60), strconv.Itoa(menu["Y"]+menu["HEIGHT"]-above), "sleep", "0.3", "click", "1")
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if is() {
				return true
			}
		}
		return false
	})
}

// menu is the window of a menu: it has no name, and is neither the screen nor small.
func (s screen) menu() map[string]int {
	for id := range strings.FieldsSeq(s.x("search", "--onlyvisible", "--name", "^$")) {
		at := map[string]int{}
		for line := range strings.Lines(s.x("getwindowgeometry", "--shell", id)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			at[name], _ = strconv.Atoi(value)
		}
		if at["WIDTH"] > 100 && at["WIDTH"] < 700 && at["HEIGHT"] > 50 {
			return at
		}
	}
	return nil
}

// Where the tray's menu has what is clicked on, above its lower edge.
const (
	quitAbove    = 12
	loginAbove   = 29
	offlineAbove = 106
)

// theTray clicks on the menu of the tray that is installed: at the icon, with an
// agent that it has started.
func (w wine) theTray(t *testing.T) {
	w.t = t
	home := t.TempDir() // a new name each time: the keychain has the keys of old ones
	w.env = append(slices.Clone(w.env), `CONSENTRY_HOME=Z:`+strings.ReplaceAll(home, "/", `\`))
	s := w.screen()
	s.until("there is a desktop", func() bool { return s.x("search", "--onlyvisible", "--name", "Wine desktop") != "" })
	line := w.value(runKey, "Consentry")
	tray := s.windows(strings.Trim(line, `"`))
	ended := make(chan error, 1)
	go func() { ended <- tray.Wait() }()
	is := func(name string) bool { _, err := os.Stat(filepath.Join(home, name)); return err == nil }
	s.choose(offlineAbove, "every app is offline", func() bool { return is("offline") })
	s.choose(loginAbove, "it starts at login no more", func() bool { return w.value(runKey, "Consentry") == "" })
	s.choose(quitAbove, "it has quit", func() bool {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it ends with %v", err)
			}
			return true
		default:
			return false
		}
	})
}

// certificate makes a key and its own certificate, as PEM files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Consentry test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", raw), write("key.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private))
}

func TestPackagesOfWindows(t *testing.T) {
	need(t, "makensis", "wixl", "osslsigncode", "msibuild")
	cert, key := certificate(t)
	out := pack(t, "windows", "1.0.0", "SIGN_CERT="+cert, "SIGN_KEY="+key)
	setup, msi := one(t, out+"/*-setup.exe"), one(t, out+"/*.msi")
	signed := func(file string) {
		t.Helper()
		run(t, command("osslsigncode", "verify", "-CAfile", cert, "-in", file))
	}
	signed(setup)
	signed(msi)
	again := pack(t, "windows", "1.0.0", "SIGN_CERT="+cert, "SIGN_KEY="+key)
	for _, file := range []string{setup, msi} {
		first, err := os.ReadFile(file)
		second, err2 := os.ReadFile(filepath.Join(again, filepath.Base(file)))
		if err != nil || err2 != nil || string(first) != string(second) {
			t.Errorf("%s is another one the second time (%v %v)", filepath.Base(file), err, err2)
		}
	}

	w := newWine(t)
	w.installed(false, false)
	uninstall := func() {
		t.Helper()
		program := one(t, filepath.Join(w.prefix, "drive_c/users/*/AppData/Local/Programs/Consentry/uninstall.exe"))
		w.run(program, "/S")
		for range 100 { // it goes on as a copy of itself
			if _, err := os.Stat(filepath.Dir(program)); err != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	t.Run("setup", func(t *testing.T) {
		w.t = t
		w.run(setup, "/S")
		w.installed(true, true)
		for _, name := range []string{"consentry.exe", "uninstall.exe"} {
			signed(one(t, filepath.Join(w.prefix, "drive_c/users/*/AppData/Local/Programs/Consentry", name)))
		}
		if version := w.value(setupKey, "DisplayVersion"); version != "1.0.0" {
			t.Errorf("the list of programs says %q", version)
		}
		w.theTray(t) // which turns the start at login off
		w.run(setup, "/S")
		w.installed(true, false)
		uninstall()
		w.installed(false, false)
		if said := w.value(setupKey, "DisplayName"); said != "" {
			t.Errorf("the list of programs still has %q", said)
		}
		w.run(setup, "/S", "/NORUN")
		w.installed(true, false)
		uninstall()
	})
	t.Run("msi", func(t *testing.T) {
		w.t = t
		w.run("msiexec", "/qn", "/i", msi)
		w.installed(true, true)
		w.run("msiexec", "/qn", "/x", msi)
		w.installed(false, false)
		w.run("msiexec", "/qn", "/i", msi, "AUTOSTART=0")
		w.installed(true, false)
		refused := command(wine64, setup, "/S") // the other way to install
		refused.Env = append(os.Environ(), w.env...)
		if err := refused.Run(); err == nil {
			t.Error("both ways to install go into one folder")
		}
		w.run("msiexec", "/qn", "/x", msi)
		w.installed(false, false)
	})
}
