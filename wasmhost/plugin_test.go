package wasmhost

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// pluginsOf is where the plugins come from that nobody here wrote.
const pluginsOf = "github.com/extism/go-sdk@v1.7.1"

// plugins is the folder of a Go module of others, fetched through the proxy:
// their binaries are not kept here.
var plugins = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", pluginsOf).Output()
	var got struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	return filepath.Join(got.Dir, "wasm"), err
})

func plugin(t *testing.T, name string) string {
	t.Helper()
	dir, err := plugins()
	if err != nil {
		t.Skipf("needs the module %s: %v", pluginsOf, err)
	}
	return filepath.Join(dir, name+".wasm")
}

// callPlugin runs one call and gives its exit and output.
func callPlugin(t *testing.T, name string, call sandbox.ModuleCall, limits sandbox.Limits, broker sandbox.Broker) (sandbox.Exit, *started) {
	t.Helper()
	call.Plugin = true
	spec := sandbox.Spec{Module: &sandbox.Module{Call: &call}, Limits: limits}
	s := begin(t, plugin(t, name), spec, broker)
	s.stdin.Close()
	return s.wait(60 * time.Second), s
}

type pluginCase struct {
	module string
	call   sandbox.ModuleCall
	code   int
	out    string // contained
	reason string // contained
}

func TestPluginsOfOthers(t *testing.T) {
	cases := []pluginCase{
		{"count_vowels", sandbox.ModuleCall{Function: "count_vowels", Input: []byte("hello world")}, 0, `"count":3`, ""},
		{"alloc", sandbox.ModuleCall{Function: "run_test"}, 0, "", ""},
		{"config", sandbox.ModuleCall{Function: "run_test", Config: map[string]string{"thing": "hello"}}, 0, "hello", ""},
		{"var", sandbox.ModuleCall{Function: "run_test"}, 0, "", ""},
		{"fail", sandbox.ModuleCall{Function: "run_test"}, 1, "", "Some error message"},
		{"exit", sandbox.ModuleCall{Function: "_start", Config: map[string]string{"code": "2"}}, 2, "", ""},
		{"hello_haskell", sandbox.ModuleCall{Function: "testing", Input: []byte("John"), Config: map[string]string{"greeting": "Howdy"}}, 0, "Howdy, John", ""},
		{"input_offset", sandbox.ModuleCall{Function: "input_offset_length", Input: []byte("hello world")}, 0, "", ""},
		{"std_command", sandbox.ModuleCall{Function: "_start", Input: []byte("ben")}, 0, "hello ben", ""},
		{"replace", sandbox.ModuleCall{Function: "run_test", Input: []byte("hello world, hello moon")}, 0, "", ""},
	}
	if os.Getenv("CONSENTRY_LONG") == "" {
		cases = slices.DeleteFunc(cases, func(c pluginCase) bool { return c.module == "hello_haskell" }) // seconds to compile
	}
	for _, c := range cases {
		t.Run(c.module, func(t *testing.T) {
			exit, s := callPlugin(t, c.module, c.call, sandbox.Limits{}, &testBroker{})
			if exit.Code != c.code || !strings.Contains(exit.Reason, c.reason) {
				t.Errorf("exit %+v, want %d %q; errors %q", exit, c.code, c.reason, s.err)
			}
			if !strings.Contains(s.out.String(), c.out) {
				t.Errorf("output %q, want %q in it", s.out, c.out)
			}
			t.Logf("exit %+v, output %.200q", exit, s.out)
		})
	}
}

func TestPluginLog(t *testing.T) {
	exit, s := callPlugin(t, "log", sandbox.ModuleCall{Function: "run_test"}, sandbox.Limits{}, &testBroker{})
	if exit.Code != 0 || !strings.Contains(s.err.String(), "warn: ") {
		t.Errorf("exit %+v, log %q", exit, s.err)
	}
}

// A plugin's HTTP asks the Broker, and a no reaches nobody.
func TestPluginHTTPAsks(t *testing.T) {
	for _, c := range []struct {
		verdict error
		code    int
	}{{sandbox.ErrDenied, 1}, {sandbox.ErrHeld, 75}} {
		broker := &testBroker{hosts: map[string]error{"jsonplaceholder.typicode.com": c.verdict}}
		exit, s := callPlugin(t, "http", sandbox.ModuleCall{Function: "run_test"}, sandbox.Limits{}, broker)
		if exit.Code != c.code || !strings.Contains(exit.Reason, "http_request") {
			t.Errorf("%v: exit %+v, want %d; errors %q", c.verdict, exit, c.code, s.err)
		}
		if got := broker.askedHosts(); len(got) != 1 || got[0] != "jsonplaceholder.typicode.com" {
			t.Errorf("asked about %v", got)
		}
	}
}

func TestPluginTimeLimit(t *testing.T) {
	exit, _ := callPlugin(t, "sleep", sandbox.ModuleCall{Function: "run_test", Config: map[string]string{"duration": "60"}},
		sandbox.Limits{Wall: 300 * time.Millisecond}, &testBroker{})
	if exit.Code != 137 {
		t.Errorf("exit %+v, want 137", exit)
	}
}

// A plugin is not taken for a program, and the error says what to do.
func TestPluginNeedsCall(t *testing.T) {
	path := plugin(t, "count_vowels")
	_, err := tryBegin(t, path, sandbox.Spec{}, &testBroker{})
	if err == nil || !strings.Contains(err.Error(), "--call") || !strings.Contains(err.Error(), "count_vowels") {
		t.Errorf("error %v", err)
	}
	_, err = tryBegin(t, plugin(t, "host"), sandbox.Spec{Module: &sandbox.Module{Call: &sandbox.ModuleCall{Function: "run_test", Plugin: true}}}, &testBroker{})
	if err == nil || !strings.Contains(err.Error(), "own host") {
		t.Errorf("error %v", err)
	}
}

// invoked calls a function of a module written here with numbers.
func TestInvoke(t *testing.T) {
	// (func (export "add") (param i32 i64) (result i64) local.get 0 i64.extend_i32_s local.get 1 i64.add)
	raw := module("\x01\x01\x60\x02\x7f\x7e\x01\x7e", "\x03\x01\x00", "\x07\x01\x03add\x00\x00",
		"\x0a\x01\x08\x00\x20\x00\xac\x20\x01\x7c\x0b")
	path := writeModule(t, raw)
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"-3", "40"}, 0, "37\n"},
		{[]string{"0xffffffff", "0"}, 0, "-1\n"},
		{[]string{"1"}, 2, ""},
		{[]string{"one", "2"}, 2, ""},
		{[]string{"99999999999", "2"}, 2, ""},
	} {
		s := begin(t, path, sandbox.Spec{
			Module:  &sandbox.Module{Call: &sandbox.ModuleCall{Function: "add"}},
			Process: sandbox.Process{Args: append([]string{"app"}, c.args...)},
		}, &testBroker{})
		if exit := s.wait(10 * time.Second); exit.Code != c.code || s.out.String() != c.out {
			t.Errorf("%v: exit %+v, output %q", c.args, exit, s.out)
		}
	}
}

// Each hop is asked about: a redirect does not walk out of a yes.
func TestPluginRedirectAsks(t *testing.T) {
	second := newSite(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Hop", "two") })
	first := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://second.test:"+second.port+"/", http.StatusFound)
	})
	request := []byte(`{"method":"GET","url":"http://first.test:` + first.port + `/","headers":{}}`)
	for _, c := range []struct {
		verdict error
		code    int
		out     string
		hits    int64
	}{{sandbox.ErrDenied, 1, "", 0}, {nil, 0, `"x-hop":"two"`, 1}} {
		broker := &testBroker{hosts: map[string]error{"first.test": nil, "second.test": c.verdict}}
		exit, s := callPlugin(t, "http_headers", sandbox.ModuleCall{Function: "http_get", Input: request}, sandbox.Limits{}, broker)
		if exit.Code != c.code || !strings.Contains(s.out.String(), c.out) {
			t.Errorf("exit %+v, output %q, want %d and %q", exit, s.out, c.code, c.out)
		}
		if got := broker.askedHosts(); !slices.Equal(got, []string{"first.test", "second.test"}) {
			t.Errorf("asked about %v", got)
		}
		if second.hits.Load() != c.hits {
			t.Errorf("the second server was reached %d times, want %d", second.hits.Load(), c.hits)
		}
	}
}

// Offsets far outside of the shared memory end the call, and it has an end.
func TestPluginMemoryIsBounded(t *testing.T) {
	// _start: call f with the largest offset, and drop what it gives.
	call := func(name, types, code string) []byte {
		imports := "\x02\x01\x0fextism:host/env" + string(rune(len(name))) + name + "\x00\x01"
		body := "\x00" + code + "\x0b"
		return module("\x01\x02\x60\x00\x00"+types, imports, oneFunc, "\x07\x01\x06_start\x00\x01",
			"\x0a\x01"+string(rune(len(body)))+body)
	}
	for name, raw := range map[string][]byte{
		"load_u8":    call("load_u8", "\x60\x01\x7e\x01\x7f", "\x42\x7f\x10\x00\x1a"),
		"load_u64":   call("load_u64", "\x60\x01\x7e\x01\x7e", "\x42\x7a\x10\x00\x1a"),
		"store_u8":   call("store_u8", "\x60\x02\x7e\x7f\x00", "\x42\x7f\x41\x01\x10\x00"),
		"store_u64":  call("store_u64", "\x60\x02\x7e\x7e\x00", "\x42\x7a\x42\x01\x10\x00"),
		"output_set": call("output_set", "\x60\x02\x7e\x7e\x00", "\x42\x7f\x42\x7f\x10\x00"),
	} {
		s := begin(t, writeModule(t, raw), sandbox.Spec{}, &testBroker{})
		if exit := s.wait(10 * time.Second); exit.Code != 1 || !strings.Contains(exit.Reason, "outside of the shared memory") {
			t.Errorf("%s: exit %+v", name, exit)
		}
	}
	// alloc: more than there is gives 0, which ends the loop.
	raw := call("alloc", "\x60\x01\x7e\x01\x7e", "\x03\x40\x42\x80\x80\x80\x20\x10\x00\x50\x45\x0d\x00\x0b")
	s := begin(t, writeModule(t, raw), sandbox.Spec{}, &testBroker{})
	if exit := s.wait(20 * time.Second); exit.Code != 0 {
		t.Errorf("alloc: exit %+v", exit)
	}
}
