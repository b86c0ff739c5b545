package clienttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// stage is a stream as a script sees it.
type stage struct {
	a       *Agent
	conn    net.Conn
	buf     []byte
	request api.RunRequest
	given   api.ReviewAnswer
}

// scripts are the apps, by the source they are run from.
var scripts = map[string]func(*stage) sandbox.Exit{
	"hello":   func(s *stage) sandbox.Exit { s.out("hello\n"); s.err("oops\n"); return sandbox.Exit{} },
	"exit42":  func(*stage) sandbox.Exit { return sandbox.Exit{Code: 42} },
	"oom":     func(*stage) sandbox.Exit { return sandbox.Exit{Code: 137, OOM: true} },
	"cut":     func(*stage) sandbox.Exit { return sandbox.Exit{Code: 1, Reason: "a wall fell"} },
	"cat":     cat,
	"request": func(s *stage) sandbox.Exit { s.outJSON(s.request); return sandbox.Exit{} },
	"notice": func(s *stage) sandbox.Exit {
		_ = api.WriteFrame(s.conn, api.FrameNotice, []byte("http://localhost:8080"))
		return sandbox.Exit{}
	},
	"escape": func(s *stage) sandbox.Exit {
		s.out("\x1b[31mred\x1b[0m\x1b]0;title\a\x1b[2J\u202e\n")
		return sandbox.Exit{}
	},
	"ask":     ask,
	"settle":  settle,
	"signals": signals,
	"talk":    talk,
	"flood":   flood,

	"manifest": manifest,
}

func (a *Agent) run(w http.ResponseWriter, r *http.Request) {
	var in api.RunRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, err)
		return
	}
	if in.Source == "elf" {
		fail(w, &api.Error{Code: "unsupported-format", Message: "elf is an ELF program", Hint: "consentry runs OCI images and .wasm modules", Status: http.StatusBadRequest})
		return
	}
	a.perform(w, in)
}

func (a *Agent) runAgain(w http.ResponseWriter, r *http.Request) {
	run, err := findRun(r.PathValue("ref"))
	if err != nil {
		fail(w, err)
		return
	}
	source := run.Source
	if run.Name == "web" {
		source = "hello"
	}
	a.perform(w, api.RunRequest{Source: source})
}

func (a *Agent) exec(w http.ResponseWriter, r *http.Request) {
	var in api.ExecRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	if _, err := findRun(r.PathValue("ref")); err != nil {
		fail(w, err)
		return
	}
	a.perform(w, api.RunRequest{Source: in.Args[0], Args: in.Args[1:], Env: in.Env, Terminal: in.Terminal, Stdin: in.Stdin, Size: in.Size})
}

// perform upgrades the call and runs a script on it.
func (a *Agent) perform(w http.ResponseWriter, in api.RunRequest) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // a test's
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", api.StreamProtocol)
	_ = rw.Flush()
	s := &stage{a: a, conn: conn, buf: make([]byte, api.MaxFrame), request: in}
	if in.Source == "pulled" {
		for _, p := range pulling() {
			_ = api.WriteJSONFrame(conn, api.FrameProgress, p)
		}
		in.Source = "hello"
	}
	switch in.Source {
	case "nocmd":
		_ = api.WriteJSONFrame(conn, api.FrameError, &api.Error{Code: api.CodeCommandNotFound, Message: "nocmd is not in the image"})
		return
	case "noexec":
		_ = api.WriteJSONFrame(conn, api.FrameError, &api.Error{Code: api.CodeCommandNotExecutable, Message: "noexec cannot be run"})
		return
	case "slowpull": // never starts
		_, _, _ = api.ReadFrame(conn, s.buf)
		return
	}
	if in.Source == "manifest" && !s.reviewed() {
		return
	}
	run := someRuns()[0]
	run.Ports = in.Ports
	_ = api.WriteJSONFrame(conn, api.FrameStarted, run)
	if in.Source == "gone" {
		return
	}
	script := scripts[in.Source]
	if script == nil {
		_ = api.WriteJSONFrame(conn, api.FrameError, &api.Error{Code: "not-found", Message: "no image " + in.Source})
		return
	}
	_ = api.WriteJSONFrame(conn, api.FrameExit, script(s))
}

func (s *stage) out(text string) { _ = api.WriteFrame(s.conn, api.FrameOut, []byte(text)) }
func (s *stage) err(text string) { _ = api.WriteFrame(s.conn, api.FrameErr, []byte(text)) }

func (s *stage) outJSON(v any) {
	raw, _ := json.MarshalIndent(v, "", "  ")
	s.out(string(raw) + "\n")
}

func cat(s *stage) sandbox.Exit {
	for {
		kind, payload, err := api.ReadFrame(s.conn, s.buf)
		switch {
		case err != nil:
			return sandbox.Exit{Code: 1}
		case kind == api.FrameIn:
			s.out(string(payload))
		case kind == api.FrameClose:
			s.out("end\n")
			return sandbox.Exit{}
		}
	}
}

// expect makes a prompt wait and returns the channel of its answer.
func (a *Agent) expect(p api.Prompt) <-chan api.AnswerRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := make(chan api.AnswerRequest, 1)
	a.answer[p.ID] = ch
	if !slices.ContainsFunc(a.prompts, func(q api.Prompt) bool { return q.ID == p.ID }) {
		a.prompts = append(a.prompts, p)
	}
	return ch
}

// ask asks once and ends with 0 for a yes, 7 for a no, 8 for no answer.
func ask(s *stage) sandbox.Exit {
	p := Prompt()
	answers := s.a.expect(p)
	_ = api.WriteJSONFrame(s.conn, api.FramePrompt, p)
	select {
	case answer := <-answers:
		_ = api.WriteJSONFrame(s.conn, api.FrameSettled, p)
		s.out(answer.Verdict + " " + answer.Lifetime + " by " + answer.By + "\n")
		if answer.Verdict == "allow" {
			return sandbox.Exit{}
		}
		return sandbox.Exit{Code: 7}
	case <-time.After(20 * time.Second):
		return sandbox.Exit{Code: 8}
	}
}

// settle asks and takes it back.
func settle(s *stage) sandbox.Exit {
	_ = api.WriteJSONFrame(s.conn, api.FramePrompt, Prompt())
	s.out("painted over?\n")
	time.Sleep(100 * time.Millisecond)
	_ = api.WriteJSONFrame(s.conn, api.FrameSettled, Prompt())
	s.out("after\n")
	return sandbox.Exit{}
}

// signals prints every signal it gets and ends at the third.
func signals(s *stage) sandbox.Exit {
	s.out("ready\n")
	for n := 0; n < 3; {
		kind, payload, err := api.ReadFrame(s.conn, s.buf)
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		if kind == api.FrameSignal {
			var k api.KillRequest
			_ = json.Unmarshal(payload, &k)
			n++
			s.out(fmt.Sprintf("signal %d\n", k.Signal))
		}
	}
	return sandbox.Exit{Code: 130}
}

// talk is an app with a terminal: it says what it gets, asks at "a", and ends
// at "q".
func talk(s *stage) sandbox.Exit {
	s.out(fmt.Sprintf("size %dx%d\r\n", s.request.Size.Cols, s.request.Size.Rows))
	var answers <-chan api.AnswerRequest
	for {
		kind, payload, err := api.ReadFrame(s.conn, s.buf)
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		switch kind {
		case api.FrameSize:
			var size sandbox.WindowSize
			_ = json.Unmarshal(payload, &size)
			s.out(fmt.Sprintf("size %dx%d\r\n", size.Cols, size.Rows))
		case api.FrameIn:
			s.out(fmt.Sprintf("got %q\r\n", payload))
			if len(answers) > 0 {
				answer := <-answers
				s.out("answer " + answer.Verdict + " " + answer.Lifetime + "\r\n")
			}
			if bytes.ContainsRune(payload, 'a') {
				answers = s.a.expect(Prompt())
				_ = api.WriteJSONFrame(s.conn, api.FramePrompt, Prompt())
				s.out("while asking\r\n")
			}
			if bytes.ContainsRune(payload, 'q') {
				return sandbox.Exit{Code: 5}
			}
		case api.FrameDetach:
			return sandbox.Exit{}
		}
	}
}

// flood writes until nobody reads.
func flood(s *stage) sandbox.Exit {
	line := bytes.Repeat([]byte("0123456789abcde\n"), 4000)
	for {
		if err := api.WriteFrame(s.conn, api.FrameOut, line); err != nil {
			return sandbox.Exit{Code: 1}
		}
	}
}
