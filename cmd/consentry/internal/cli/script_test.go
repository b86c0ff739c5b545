//go:build unix

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client/clienttest"
	"github.com/consentry/consentry/agent/ipc"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"consentry":         func() { os.Exit(testMain(nil)) },
		"consentry-beside":  func() { os.Exit(testMain(func() (string, error) { return exec.LookPath("consentry-agent") })) },
		"consentry-without": func() { os.Exit(testMain(func() (string, error) { return "/nowhere/consentry-agent", nil })) },
		"consentry-agent":   agentMain,
	})
}

// testMain is the program with a clock that stands, and, where a story says
// so, without a terminal to ask on.
func testMain(agent func() (string, error)) int {
	o := Options{Version: "1.2.3", Agent: agent, Now: func() time.Time { return clienttest.Now }}
	if os.Getenv("NOTERMINAL") != "" {
		o.OpenTerminal = func() (*os.File, error) { return nil, errors.New("no terminal in this story") }
	}
	return Main(os.Args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, o)
}

// agentMain is an agent in a process of its own, for the stories about its start.
func agentMain() {
	if err := serveForTest(); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-agent:", err)
		os.Exit(1)
	}
}

func serveForTest() error {
	if os.Getenv("AGENT_FAILS") != "" {
		return errors.New("open the store: it is damaged")
	}
	p, err := ipc.Find(os.Getenv(ipc.HomeEnv))
	if err != nil {
		return err
	}
	lock, err := ipc.Lock(p)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // the process ends
	if err := os.WriteFile(filepath.Join(p.Runtime, "starts"), nil, 0o600); err != nil {
		return err
	}
	_, stop, err := clienttest.Start(p)
	if err != nil {
		return err
	}
	defer stop()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); { // the story's folder is removed at its end
		if _, err := os.Stat(p.Socket); err != nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE_GOLDEN") != "",
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "h")
			env.Setenv(ipc.HomeEnv, home)
			env.Setenv("NOTERMINAL", "1")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector waits a second at each end
			env.Values["agent"] = (*clienttest.Agent)(nil)
			if strings.HasPrefix(filepath.Base(env.WorkDir), "script-start") {
				return nil // these start their own
			}
			a, stop, err := clienttest.Start(ipc.InHome(home))
			if err != nil {
				return err
			}
			env.Values["agent"] = a
			env.Defer(stop)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":      exitsWith,
			"fake":      commandFake,
			"calls":     seesCall,
			"waitfor":   waitFor,
			"interrupt": interrupt,
		},
	})
}

// exitsWith runs a command that must end with a code: code 42 consentry run …
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// commandFake changes what the agent says: fake broken-ledger.
func commandFake(ts *testscript.TestScript, _ bool, args []string) {
	a := ts.Value("agent").(*clienttest.Agent)
	map[string]func(){"broken-ledger": a.BreakLedger, "broken-hosts": a.BreakHosts, "damaged-store": a.DamageStore, "empty": a.Clear, "other-api": func() { a.SpeakAPI("9") }, "our-api": func() { a.SpeakAPI(api.APIVersion) }}[args[0]]()
}

// seesCall wants a call with a text in it to have reached the agent, or not.
func seesCall(ts *testscript.TestScript, neg bool, args []string) {
	a := ts.Value("agent").(*clienttest.Agent)
	found := false
	for _, call := range a.Calls() {
		found = found || strings.Contains(call, args[0])
	}
	if found == neg {
		ts.Fatalf("calls with %q: %v, among %q", args[0], found, a.Calls())
	}
}

// waitFor polls until a request or a review waits, the agent saw a call, or a
// file holds a text: waitfor requests|review|calls|FILE [text].
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if cameTrue(ts, args) {
			return
		}
	}
	ts.Fatalf("no %s after 30 s", strings.Join(args, " "))
}

func cameTrue(ts *testscript.TestScript, args []string) bool {
	a := ts.Value("agent").(*clienttest.Agent)
	switch args[0] {
	case "requests":
		return a.Waits(args[1])
	case "review":
		return a.WaitsForReview()
	case "calls":
		return strings.Contains(strings.Join(a.Calls(), "\n"), args[1])
	}
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	return err == nil && strings.Contains(string(text), args[1])
}

// interrupt sends SIGINT to the background command a number of times, with
// room between them: signals of one kind do not queue.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	cmds := ts.BackgroundCmds()
	process := cmds[len(cmds)-1].Process
	for range len(args[1]) * int(args[1][0]-'0') {
		time.Sleep(200 * time.Millisecond)
		ts.Check(process.Signal(os.Interrupt))
	}
}
