//go:build linux

package story

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// An app finds its gateway, the data API and itself by name, and nobody outside
// is asked about those names.
func TestAnAppFindsItsServicesByName(t *testing.T) {
	w := newWorld(t)
	seen := w.watch()
	w.want("run", "-d", "--quiet", "--no-input", "--name", "my_app", built.image, "sleep", "1000")
	look := fmt.Sprintf(`import socket
for family in (socket.AF_INET, socket.AF_INET6):
    for host in ("api.%[1]s", "gateway.%[1]s", socket.gethostname() + ".%[1]s"):
        addr = socket.getaddrinfo(host, 80, family)[0][4][0]
        print(host, addr, socket.getnameinfo((addr, 80), socket.NI_NUMERICSERV)[0])
try: socket.getaddrinfo("another.%[1]s", 80)
except socket.gaierror: print("no other")`, sandbox.ServiceDomain)
	got := w.want("exec", "my_app", "python3", "-c", look)
	for _, line := range []string{
		"api.consentry.internal 10.0.2.2 gateway.consentry.internal", "gateway.consentry.internal fd00:c0de::2 gateway.consentry.internal",
		"my-app.consentry.internal 10.0.2.15 my-app", "my-app.consentry.internal fd00:c0de::15 my-app", "no other",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	api := fmt.Sprintf("http://%s:%d/v1/kinds", sandbox.DataAPIName, sandbox.DataAPIPort)
	for host, code := range map[string]string{"": "200", "Host: evil.example": "421"} {
		out := w.want("exec", "my_app", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Consentry-Request: 1", "-H", host, api)
		if out != code {
			t.Errorf("the data API by name, with %q: %s", host, out)
		}
	}
	if sent := seen(); len(sent) != 0 {
		t.Errorf("these left the computer: %v", sent)
	}
}
