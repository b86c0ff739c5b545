package packaging_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
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

// remove takes a value out of the user's registry, if it is there.
func (w wine) remove(key, name string) {
	cmd := command(wine64, "reg", "delete", `HKCU\`+key, "/v", name, "/f")
	cmd.Env = append(os.Environ(), w.env...)
	cmd.Run() // it need not be there
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
		w.remove(runKey, "Consentry")
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
