package cli

import (
	"reflect"
	"testing"

	"github.com/spf13/pflag"

	"github.com/consentry/consentry/agent/api"
)

// Flags of a call are taken behind the file only where they begin with the
// call, and up to the first argument of the app's.
func TestModuleFlagsBehindTheFile(t *testing.T) {
	for _, c := range []struct {
		file string
		args []string
		rest []string
		call *api.ModuleCall
	}{
		{"p.wasm", []string{"--call", "f", "--input", "x", "--config", "k=v"}, []string{},
			&api.ModuleCall{Function: "f", Plugin: true, Input: []byte("x"), Config: map[string]string{"k": "v"}}},
		{"p.wasm", []string{"--call=f"}, []string{}, &api.ModuleCall{Function: "f", Plugin: true, Input: []byte{}, Stdin: true, Config: map[string]string{}}},
		{"p.wasm", []string{"--invoke", "add", "1", "--input"}, []string{"1", "--input"}, &api.ModuleCall{Function: "add"}},
		{"p.wasm", []string{"--invoke", "add", "--", "-1"}, []string{"-1"}, &api.ModuleCall{Function: "add"}},
		{"p.wasm", []string{"--input", "x"}, []string{"--input", "x"}, nil},
		{"image", []string{"--call", "f"}, []string{"--call", "f"}, nil},
	} {
		var f moduleFlags
		f.add(pflag.NewFlagSet("run", pflag.ContinueOnError))
		rest, err := f.behind(c.file, c.args)
		if err != nil || !reflect.DeepEqual(rest, c.rest) {
			t.Errorf("%v: rest %q, error %v", c.args, rest, err)
		}
		r := api.RunRequest{Stdin: true}
		if err := f.apply(&r, "/work"); err != nil || !reflect.DeepEqual(r.Call, c.call) {
			t.Errorf("%v: call %+v, error %v", c.args, r.Call, err)
		}
	}
}

func TestModuleDir(t *testing.T) {
	for text, want := range map[string]api.Share{
		".":           {Source: "/home/ada", Target: "/", Write: true},
		"in":          {Source: "/home/ada/in", Target: "/in", Write: true},
		"/srv":        {Source: "/srv", Target: "/srv", Write: true},
		"in::/data":   {Source: "/home/ada/in", Target: "/data", Write: true},
		"in::../data": {Source: "/home/ada/in", Target: "/data", Write: true},
	} {
		if got := moduleDir(text, "/home/ada"); got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
