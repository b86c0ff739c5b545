package wasmhost

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

var update = flag.Bool("update", false, "write docs/wasm-conformance.md anew")

const conformanceDoc = "../docs/wasm-conformance.md"

// nodeWASI runs a module under Node's WASI with the mounts of its arguments.
const nodeWASI = `
const { readFileSync } = require("node:fs"); const { WASI } = require("node:wasi");
const [file, ...mounts] = process.argv.slice(1);
const wasi = new WASI({ version: "preview1", args: ["app"], env: {}, returnOnExit: true,
  preopens: Object.fromEntries(mounts.map((m) => m.split("::").reverse())) });
WebAssembly.instantiate(readFileSync(file), wasi.getImportObject()).then((r) => wasi.start(r.instance));`

// peers are the command lines of other runtimes for a module with mounts.
func peers(t *testing.T, module string, mounts []sandbox.Mount) map[string][]string {
	wazero := filepath.Join(t.TempDir(), "wazero")
	if text, err := exec.Command("go", "build", "-o", wazero, "github.com/tetratelabs/wazero/cmd/wazero").CombinedOutput(); err != nil {
		t.Fatalf("build wazero: %v\n%s", err, text)
	}
	all := map[string][]string{"wazero": {wazero, "run"}}
	node := []string{"node", "--no-warnings", "-e", nodeWASI, module}
	for _, m := range mounts {
		mode := ""
		if m.ReadOnly {
			mode = ":ro"
		}
		all["wazero"] = append(all["wazero"], "-mount="+m.Source+":"+m.Target+mode)
		node = append(node, m.Source+"::"+m.Target)
	}
	all["wazero"] = append(all["wazero"], module)
	if _, err := exec.LookPath("node"); err == nil {
		all["node"] = node
	} else {
		t.Log("Node is not here and not compared")
	}
	return all
}

// results runs a peer; what it did not get to is not in them.
func results(t *testing.T, argv []string) map[string]string {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	t.Logf("%s: %v", argv[0], err)
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			got[line[:i]] = line[i+1:]
		}
	}
	return got
}

// The same program under other runtimes, as a table for docs.
func TestConformanceOfPeers(t *testing.T) {
	buildC(t, "int main(void){return 0;}")
	modules := []string{clang(t, "testdata/conformance.c", "-O1")}
	if *update || os.Getenv("CONSENTRY_LONG") != "" {
		modules = append(modules, buildGo(t, "./testdata/conformance_go"), buildRust(t, "testdata/conformance.rs"))
	}
	columns := []string{"wazero", "node"}
	got := map[string]map[string]string{}
	for _, name := range columns {
		got[name] = map[string]string{}
		for _, module := range modules {
			base, mounts := conformanceTree(t)
			if err := os.Remove(filepath.Join(base, "rw/fifo")); err != nil { // which others open, and wait
				t.Fatal(err)
			}
			if argv := peers(t, module, mounts)[name]; argv != nil {
				maps.Copy(got[name], results(t, argv))
			}
		}
	}
	if len(got["wazero"]) < 50 {
		t.Errorf("wazero gave %d results", len(got["wazero"]))
	}
	doc := conformanceTable(columns, got)
	if *update {
		if err := os.WriteFile(conformanceDoc, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// conformanceTable lists the cases in which somebody differs from what is
// expected, which is what we give.
func conformanceTable(columns []string, got map[string]map[string]string) string {
	var rows strings.Builder
	differ := map[string]int{}
	cases := slices.DeleteFunc(strings.Split(conformance+conformanceGo+conformanceRust, "\n"), func(line string) bool { return line == "" })
	for _, line := range cases {
		i := strings.LastIndexByte(line, ' ')
		name, want := line[:i], line[i+1:]
		row, shown := "| "+name+" | "+want+" |", false
		for _, c := range columns {
			value, ran := got[c][name]
			switch {
			case !ran:
				value = "–"
			case value == want:
				value = ""
			}
			if value != "" {
				differ[c]++
				shown = true
			}
			row += " " + value + " |"
		}
		if shown {
			rows.WriteString(row + "\n")
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, `# WASI preview 1: what others give

Made by `+"`go test ./wasmhost -run ConformanceOfPeers -update`"+` from the %d cases of
wasmhost/testdata (in C on the calls themselves, in Go and Rust through their
libraries); Consentry gives the expected value in all of
them. A number is an errno of preview 1, =n a value that the call gave, – a case
that was not reached. Listed are the cases in which somebody differs; errnos that
only name the same refusal otherwise (63 and 76, 2 and 63) are harmless, a 0
where a refusal is expected is not.

`, len(cases))
	for _, c := range columns {
		fmt.Fprintf(&out, "- %s differs in %d\n", c, differ[c])
	}
	out.WriteString("\n| case | expected |")
	for _, c := range columns {
		out.WriteString(" " + c + " |")
	}
	out.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns)) + "\n" + rows.String())
	return out.String()
}
