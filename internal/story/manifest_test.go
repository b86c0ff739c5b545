//go:build linux

package story

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
)

const registryName = "registry.test"

// tlsRegistry serves a registry with a certificate on the other side of the
// cable, and starts the agent anew with trust in it.
func (w *world) tlsRegistry() {
	w.t.Helper()
	cert, key := filepath.Join(w.home, "cert.pem"), filepath.Join(w.home, "key.pem")
	writeCertificate(w.t, cert, key)
	config := fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %s}}
http: {addr: ":443", tls: {certificate: %s, key: %s}}
`, filepath.Join(w.home, "tls-registry"), cert, key)
	path := filepath.Join(w.home, "tls-registry.yml")
	must(w.t, os.WriteFile(path, []byte(config), 0o600))
	w.daemon(w.rest, nil, "docker-registry", "serve", path)
	w.env = append(w.env, "SSL_CERT_FILE="+cert)
	must(w.t, w.agent.Process.Signal(syscall.SIGKILL))
	w.until("the agent is gone", func() bool { return w.agentPID() == 0 })
	w.startAgent()
}

func writeCertificate(t *testing.T, certPath, keyPath string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: registryName}, DNSNames: []string{registryName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}), 0o600))
}

// labelled is the test image with other labels, as a layout at dir.
func labelled(t *testing.T, dir string, labels map[string]string) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	must(t, os.MkdirAll(blobs, 0o755))
	entries, err := os.ReadDir(filepath.Join(built.image, "blobs", "sha256"))
	must(t, err)
	for _, e := range entries {
		from, to := filepath.Join(built.image, "blobs", "sha256", e.Name()), filepath.Join(blobs, e.Name())
		if os.Link(from, to) != nil { // another file system
			raw, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, raw, 0o644))
		}
	}
	read := func(path string) (v map[string]any) {
		raw, err := os.ReadFile(path)
		must(t, err)
		must(t, json.Unmarshal(raw, &v))
		return v
	}
	// put writes a document as a blob and points a descriptor at it.
	put := func(descriptor, document map[string]any) {
		raw, err := json.Marshal(document)
		must(t, err)
		sum := sha256.Sum256(raw)
		must(t, os.WriteFile(filepath.Join(blobs, hex.EncodeToString(sum[:])), raw, 0o644))
		descriptor["digest"], descriptor["size"] = "sha256:"+hex.EncodeToString(sum[:]), len(raw)
	}
	blob := func(descriptor map[string]any) map[string]any {
		return read(filepath.Join(blobs, strings.TrimPrefix(descriptor["digest"].(string), "sha256:")))
	}
	index := read(filepath.Join(built.image, "index.json"))
	top := index["manifests"].([]any)[0].(map[string]any)
	manifest := blob(top)
	configAt := manifest["config"].(map[string]any)
	config := blob(configAt)
	config["config"].(map[string]any)["Labels"] = labels
	put(configAt, config)
	put(top, manifest)
	raw, err := json.Marshal(index)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), raw, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
}

// wants is the label for a manifest that asks for port 80 of hosts.
func wants(hosts ...string) map[string]string {
	m := app.Manifest{Version: 1}
	for _, host := range hosts {
		m.Rights = append(m.Rights, app.Right{Kind: "net.connect", Target: "tcp/" + host + ":80", Reason: "to read " + host})
	}
	raw, _ := json.Marshal(m)
	return map[string]string{app.ManifestLabel: string(raw)}
}

// push puts a labelled image into a registry and returns its layout.
func (w *world) push(reference string, labels map[string]string) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "layout")
	labelled(w.t, dir, labels)
	var out []byte
	w.untilAtLast(reference+" is pushed", func() bool {
		var err error
		out, err = w.in(w.rest, "skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", "oci:"+dir, "docker://"+reference).CombinedOutput()
		if err != nil {
			time.Sleep(300 * time.Millisecond)
		}
		return err == nil
	})
	if len(bytes.TrimSpace(out)) > 0 {
		w.t.Logf("%s", out)
	}
	return dir
}

// untilAtLast is until for what takes long on a machine that is busy: to fetch
// and unpack an image.
func (w *world) untilAtLast(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if is() {
			return
		}
	}
	w.t.Fatalf("3 minutes have passed and it is not so that %s", what)
}

// review waits for the one manifest that waits for an answer.
func (w *world) review() (r api.Review) {
	w.t.Helper()
	w.untilAtLast("a manifest waits", func() bool {
		var list []api.Review
		if json.Unmarshal([]byte(w.result("review", "--json").out), &list) != nil || len(list) != 1 {
			return false
		}
		return json.Unmarshal([]byte(w.result("review", list[0].ID, "--json").out), &r) == nil
	})
	return r
}

func TestUpdatesOfAPublisherAndThoseWhoClaimToBeIt(t *testing.T) {
	w := newWorld(t)
	w.tlsRegistry()
	const repository = registryName + "/demo/web"
	layout := w.push(repository+":1", wants(webName))

	t.Run("the first version is reviewed", func(t *testing.T) {
		run := w.curl(repository+":1", nil, "http://"+webName+"/")
		r := w.review()
		if r.Publisher != repository || r.Update || len(r.Lines) != 1 || w.reached() != 0 {
			t.Fatalf("%+v, %d connections", r, w.reached())
		}
		if r := w.result("review", r.ID, "--allow"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := run.wait(); r.code != 0 || !strings.Contains(r.out, "page of") {
			t.Fatalf("exit %d %q %s", r.code, r.out, r.err)
		}
		if grants := w.grants(); len(grants) != 1 || !strings.HasPrefix(grants[0].AppID, "pub:"+repository) || !strings.HasPrefix(grants[0].By, "manifest review") {
			t.Errorf("%+v", grants)
		}
	})
	t.Run("an update that asks for the same keeps the grant", func(t *testing.T) {
		labels := wants(webName)
		labels["version"] = "2"
		w.push(repository+":2", labels)
		if r := w.curl(repository+":2", nil, "http://"+webName+"/").wait(); r.code != 0 || strings.Contains(r.err, "asks for") {
			t.Fatalf("exit %d %s", r.code, r.err)
		}
	})
	t.Run("one that asks for more waits", func(t *testing.T) {
		w.push(repository+":3", wants(webName, otherName))
		before := w.reached()
		run := w.curl(repository+":3", nil, "http://"+otherName+"/")
		r := w.review()
		if !r.Update || r.Kept != 1 || len(r.Lines) != 1 || r.Lines[0].Target != "tcp/"+otherName+":80" {
			t.Errorf("%+v", r)
		}
		if r := w.result("review", r.ID, "--deny"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := run.wait(); r.code != 7 || w.reached() != before {
			t.Errorf("exit %d, %d connections: %s", r.code, w.reached()-before, r.err)
		}
		if r := w.curl(repository+":3", nil, "http://"+webName+"/").wait(); r.code != 0 {
			t.Errorf("what was granted before: exit %d %s", r.code, r.err)
		}
	})
	// Probe 69: others that claim publisher and name of the app that was granted.
	t.Run("another that claims to be it", func(t *testing.T) {
		claims := wants(webName)
		for _, label := range []string{"publisher", "org.opencontainers.image.vendor", "org.opencontainers.image.ref.name", "org.opencontainers.image.source"} {
			claims[label] = repository
		}
		folder := filepath.Join(t.TempDir(), registryName, "demo", "web")
		labelled(t, folder, claims)
		w.plainRegistry()
		const plain = "127.0.0.1:5000/" + "demo/web:1"
		w.run(w.in(w.machine, "skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", "oci:"+layout, "docker://"+plain))
		archive := filepath.Join(t.TempDir(), "web.tar")
		w.run(w.in(w.machine, "skopeo", "copy", "--quiet", "--insecure-policy", "oci:"+layout, "docker-archive:"+archive+":"+repository+":1"))
		before := w.reached()
		for name, source := range map[string]string{
			"the same image as a folder":          layout,
			"a folder with its name and labels":   folder,
			"an archive tagged with its name":     archive,
			"a registry on this machine, no TLS":  plain,
			"a tag that says so, same repository": "127.0.0.1:5000/demo/web",
		} {
			if r := w.curl(source, []string{"--no-input"}, "http://"+webName+"/").wait(); r.code == 0 || w.reached() != before {
				t.Errorf("%s: exit %d, %d connections", name, r.code, w.reached()-before)
			}
		}
		if grants := w.grants(); len(grants) != 2 {
			t.Errorf("%+v", grants)
		}
	})
}

// plainRegistry is one on the machine without TLS.
func (w *world) plainRegistry() {
	w.t.Helper()
	config := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: \"127.0.0.1:5000\"}\n", filepath.Join(w.home, "registry"))
	path := filepath.Join(w.home, "registry.yml")
	must(w.t, os.WriteFile(path, []byte(config), 0o600))
	w.daemon(w.machine, nil, "docker-registry", "serve", path)
	w.untilAtLast("the registry answers", func() bool {
		return w.in(w.machine, "curl", "-sf", "http://127.0.0.1:5000/v2/").Run() == nil
	})
}

// Probe 59: a sandbox at the local API.
func TestASandboxDoesNotReachTheLocalAPI(t *testing.T) {
	w := newWorld(t)
	look := fmt.Sprintf(`
import os, socket
def tries(name, f):
    try: print(name, "reached", f())
    except OSError as e: print(name, "refused", type(e).__name__)
def unix(path):
    s = socket.socket(socket.AF_UNIX); s.connect(path)
    s.sendall(b"GET /v1/grants HTTP/1.1\r\nHost: agent\r\nConsentry-Api: 1\r\n\r\n"); return s.recv(100)
def tcp(port):
    s = socket.create_connection(("10.0.2.2", port), 5)
    s.sendall(b"GET /v1/grants HTTP/1.1\r\nHost: agent\r\nConsentry-Api: 1\r\n\r\n")
    got = s.recv(100)
    if b"200" in got: return got
    raise ConnectionRefusedError(got)
for path in (%q, "\0" + %q, "/run/consentry/agent.sock", "/proc/1/root" + %q):
    tries("unix", lambda: unix(path))
for port in (80, 443, 2375, 8080, 9999):
    tries("tcp", lambda: tcp(port))
`, w.home+"/run/agent.sock", w.home+"/run/agent.sock", w.home+"/run/agent.sock")
	r := w.result("run", "--rm", "--quiet", "--no-input", built.image, "python3", "-c", look)
	if strings.Contains(r.out, "reached") || strings.Count(r.out, "refused") != 9 {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	if share := w.result("run", "--rm", "--quiet", "--share", w.home+"/run", built.image, "true"); share.code == 0 {
		t.Error("the folder of the socket was shared")
	}
}

func TestLearnPrintsAManifestThatThenSuffices(t *testing.T) {
	w := newWorld(t)
	out := filepath.Join(t.TempDir(), "m.json")
	r := w.curl(built.image, []string{"--learn", "--learn-out", out}, "http://"+webName+"/").wait()
	if r.code != 7 || w.reached() != 0 || !strings.Contains(r.err, "1 thing") {
		t.Fatalf("exit %d, %d connections: %s", r.code, w.reached(), r.err)
	}
	raw, err := os.ReadFile(out)
	must(t, err)
	dir := filepath.Join(t.TempDir(), "layout")
	labelled(t, dir, map[string]string{app.ManifestLabel: string(raw)})
	run := w.curl(dir, []string{"--answer", "allow"}, "http://"+webName+"/").wait()
	if run.code != 0 || !strings.Contains(run.out, "page of") || !strings.Contains(run.err, "1 line allowed") {
		t.Fatalf("exit %d %q %s\n%s", run.code, run.out, run.err, raw)
	}
	if len(w.grants()) != 0 {
		t.Errorf("--answer left %+v", w.grants())
	}
}
