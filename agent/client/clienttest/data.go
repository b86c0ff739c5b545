package clienttest

import (
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

const webDigest = "sha256:4f5a0000000011112222333344445555666677778888999900001111222233aa"

func someRuns() []api.Run {
	return []api.Run{{
		ID: "a1b2c3d4e5f6", Name: "web", Source: "docker.io/library/web:1", Format: "oci", Digest: webDigest,
		State: api.Running, Created: Now.Add(-3 * time.Minute), Started: Now.Add(-3 * time.Minute),
		Command: []string{"serve", "--port", "8080"}, Ports: []api.PortMapping{{Host: 8080, App: 80}}, Requests: 1,
	}, {
		ID: "b2c3d4e5f6a1", Name: "cat", Source: "cat", Format: "wasm", Digest: webDigest,
		State: api.Exited, Exit: &sandbox.Exit{Code: 3}, Created: Now.Add(-26 * time.Hour), Started: Now.Add(-26 * time.Hour), Ended: Now.Add(-25 * time.Hour),
		Command: []string{"cat"},
	}, {
		ID: "c3d4e5f6a1b2", Name: "ill", Source: "docker.io/library/ill", Format: "oci", Digest: webDigest,
		State: api.Failed, Error: &api.Error{Code: "denied", Message: "no"}, Created: Now.Add(-time.Second), Ended: Now.Add(-time.Second), Command: []string{"x"},
	}}
}

func someImages() []api.Image {
	return []api.Image{
		{Ref: "docker.io/library/web:1", Digest: webDigest, Format: "oci", Size: 12_345_678, Pulled: Now.Add(-2 * time.Hour), Platform: "linux/amd64", Layers: 2},
		{Ref: "/apps/hello.wasm", Digest: webDigest, Format: "wasm", Size: 950, Pulled: Now.Add(-20 * 24 * time.Hour)},
	}
}

// Prompt is the request of the script "ask".
func Prompt() api.Prompt { return somePrompts()[0] }

func somePrompts() []api.Prompt {
	return []api.Prompt{{
		ID: "7f3a9c01", Nonce: "n-1", Asked: Now.Add(-30 * time.Second), App: "docker.io/library/web", Digest: webDigest,
		Run: "a1b2c3d4e5f6", RunName: "web", Kind: "net.connect", Target: "tcp/api.example.com:443",
		Title: "Connect to api.example.com, port 443", Reason: "fetch the weather", Consequence: "it learns where you are",
		Blast: "everything else on api.example.com", Live: true, Count: 2,
		Choices: []api.Choice{
			{Label: "Allow once", Verdict: "allow", Lifetime: "once"},
			{Label: "Allow until the app exits", Verdict: "allow", Lifetime: "run"},
			{Label: "Always allow", Verdict: "allow", Lifetime: "always"},
			{Label: "Deny once", Verdict: "deny", Lifetime: "once"},
			{Label: "Always deny", Verdict: "deny", Lifetime: "always"},
		},
	}, {
		ID: "7f88bb02", Nonce: "n-2", Asked: Now.Add(-2 * time.Hour), App: "hello.wasm", Digest: webDigest,
		Kind: "data.identity", Target: "email", Title: "Read your e-mail address\u202e", Count: 1,
	}}
}

func someGrants() []api.Grant {
	return []api.Grant{
		{ID: "4c1f0001", App: "docker.io/library/web", AppID: webDigest, Kind: "net.connect", Target: "tcp/example.com:443", Verdict: "allow", Lifetime: "always", Since: Now.Add(-48 * time.Hour), Used: Now.Add(-time.Minute), Uses: 12, By: "terminal"},
		{ID: "4c1f0002", App: "docker.io/library/web", AppID: webDigest, Kind: "net.connect", Target: "tcp/*.evil.example:443", Verdict: "deny", Lifetime: "always", Since: Now.Add(-time.Hour), By: "cli"},
		{ID: "9d000003", App: "hello.wasm", AppID: webDigest, Kind: "data.identity", Target: "email", Verdict: "allow", Lifetime: "time", Expires: Now.Add(30 * time.Minute), Since: Now.Add(-30 * time.Minute), By: "cli"},
	}
}

func someLedger() []api.LedgerLine {
	return []api.LedgerLine{
		{Seq: 1, Time: Now.Add(-time.Minute), Event: "ask", App: "docker.io/library/web", Kind: "net.connect", Target: "tcp/example.com:443", Reason: "fetch the weather", Hash: "aa"},
		{Seq: 2, Time: Now.Add(-50 * time.Second), Event: "answer", App: "docker.io/library/web", Kind: "net.connect", Target: "tcp/example.com:443", Verdict: "allow", Source: "answer", By: "terminal", Hash: "bb"},
		{Seq: 3, Time: Now.Add(-40 * time.Second), Event: "use", App: "docker.io/library/web", Kind: "net.connect", Target: "tcp/example.com:443", In: 2048, Out: 300, Hash: "cc"},
		{Seq: 4, Time: Now.Add(-30 * time.Second), Event: "answer", App: "hello.wasm", Kind: "data.identity", Target: "email", Verdict: "deny", Source: "hold", Hash: "dd"},
	}
}

func goodDoctor() api.Doctor {
	return api.Doctor{Home: "/var/lib/consentry", Store: "ok", Keychain: "files of mode 0600", Hosts: []api.HostCheck{
		{Name: "linux", Ready: true, Walls: []sandbox.Wall{
			{Name: "user namespace", Required: true, Stands: true},
			{Name: "eBPF LSM", Waiver: sandbox.WaiveLSM, Detail: "the kernel loads no LSM programs; boot with lsm=…,bpf"},
		}},
		{Name: "wasm", Ready: true},
	}}
}

func badDoctor() api.Doctor {
	return api.Doctor{Home: "/var/lib/consentry", Store: "the key is missing", Hosts: []api.HostCheck{
		{Name: "linux", Problem: "no user namespaces: run sysctl kernel.unprivileged_userns_clone=1"},
	}}
}

func pulling() []api.Progress {
	return []api.Progress{
		{Phase: "resolve"},
		{Phase: "download", Item: "4f5a00000000", Total: 2_000_000},
		{Phase: "download", Item: "4f5a00000000", Done: 1_000_000, Total: 2_000_000},
		{Phase: "download", Item: "4f5a00000000", Done: 2_000_000, Total: 2_000_000},
		{Phase: "unpack", Item: "4f5a00000000"},
	}
}
