package console

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

//go:embed static
var static embed.FS

const cookieName = "consentry"

// view is one request of a browser that came in.
type view struct {
	*Server
	door    *door
	session *session // its maps are guarded by the server's mu
	w       http.ResponseWriter
	r       *http.Request
}

func (v *view) ctx() context.Context { return v.r.Context() }

// handler serves everything of a door.
func (s *Server) handler(d *door) http.Handler {
	mux := http.NewServeMux()
	inside := func(pattern string, serve func(*view) error) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+d.base+path, func(w http.ResponseWriter, r *http.Request) { s.inside(d, w, r, serve) })
	}
	for pattern, serve := range map[string]func(*view) error{
		"GET {$}":       (*view).requestsPage,
		"GET apps":      (*view).appsPage,
		"GET app":       (*view).appPage,
		"GET add":       (*view).addPage,
		"GET request":   (*view).requestPage,
		"GET review":    (*view).reviewPage,
		"GET flows":     (*view).flowsPage,
		"GET log":       (*view).logPage,
		"GET system":    (*view).systemPage,
		"GET news":      (*view).news,
		"POST answer":   (*view).answer,
		"POST review":   (*view).answerReview,
		"POST revoke":   (*view).revoke,
		"POST mute":     (*view).mute,
		"POST start":    (*view).start,
		"POST add":      (*view).add,
		"POST offline":  (*view).offline,
		"POST stop":     (*view).stop,
		"POST profile":  (*view).saveProfile,
		"POST waiver":   (*view).unwaive,
		"POST verify":   (*view).verify,
		"POST sign-out": (*view).signOut,
	} {
		inside(pattern, serve)
	}
	mux.HandleFunc("POST "+d.base+"enter", func(w http.ResponseWriter, r *http.Request) { s.enter(d, w, r) })
	for _, name := range []string{"console.css", "console.js", "icon.svg"} {
		mux.HandleFunc("GET "+d.base+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, static, "static/"+name)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range guardHeaders {
			w.Header().Set(name, value)
		}
		if no := admit(r, d.host, r.URL.Path == d.base+"enter"); no != nil {
			http.Error(w, no.text, no.status)
			return
		}
		if !s.begin(d) {
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
			return
		}
		defer s.finish(d)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		mux.ServeHTTP(w, r)
	})
}

// enter takes a token and gives a cookie. The next page is opened by this one:
// after a redirect browsers would keep a strict cookie back, since it began at
// a file.
func (s *Server) enter(d *door, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	cookie, page, ok := s.keys.enter(r.PostFormValue("token"), s.cfg.Now())
	s.mu.Unlock()
	if !ok {
		s.lockedOut(d, w, "That token or code is not known, was used, or its time is over.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: cookie, Path: d.base, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	s.render(w, http.StatusOK, "enter", struct{ Base, To string }{d.base, d.base + page})
}

// inside serves a request if its browser came in.
func (s *Server) inside(d *door, w http.ResponseWriter, r *http.Request, serve func(*view) error) {
	v := &view{Server: s, door: d, w: w, r: r}
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		v.session = s.keys.find(cookie.Value, s.cfg.Now())
		s.mu.Unlock()
	}
	switch {
	case v.session == nil:
		s.lockedOut(d, w, "")
		return
	case r.Method == http.MethodPost && r.PostFormValue("form") != v.session.form:
		http.Error(w, "this form is not of this console", http.StatusForbidden)
		return
	}
	if err := serve(v); err != nil {
		v.fail(err)
	}
}

// lockedOut is the page of who has not come in: it takes a code.
func (s *Server) lockedOut(d *door, w http.ResponseWriter, problem string) {
	s.render(w, http.StatusUnauthorized, "locked", struct{ Base, Problem string }{d.base, problem})
}

// fail says what went wrong: after a form on the page it came from, else on
// one of its own.
func (v *view) fail(err error) {
	text := sentence(err)
	if v.r.Method == http.MethodPost {
		v.back(text, true)
		return
	}
	v.page(http.StatusBadGateway, "fault", "Something went wrong", text)
}

func sentence(err error) string {
	text := err.Error()
	if hint := client.Hint(err); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}

// back leads to the page that a form came from, and says something there.
func (v *view) back(text string, bad bool) {
	page, ok := pageOf(v.r.PostFormValue("back"))
	if !ok {
		page = ""
	}
	v.mu.Lock()
	v.session.flash = flash{text, bad}
	v.mu.Unlock()
	http.Redirect(v.w, v.r, v.door.base+page, http.StatusSeeOther)
}

// frame is what every page has around it.
type frame struct {
	Base, Form, Title, Page string
	Alert                   string // why everything is denied
	Offline                 bool   // every app is
	Flash                   flash
	Waiting                 int // questions
	Now                     time.Time
	Every                   int // seconds after which the page looks again by itself; 0: when there is news
	Body                    any
}

// page renders one of the templates with its frame.
func (v *view) page(status int, name, title string, body any) {
	f := frame{Base: v.door.base, Form: v.session.form, Title: title, Page: name, Now: v.cfg.Now(), Body: body}
	if name == "flows" {
		f.Every = 2
	}
	waiting, err := v.waiting()
	if err == nil {
		f.Waiting = len(waiting.Prompts) + len(waiting.Reviews)
	}
	f.Alert = v.cfg.Agent.Alert()
	if offline, err := v.cfg.Agent.Offline(v.ctx()); err == nil {
		f.Offline = offline
	}
	if v.r.Header.Get("Consentry-Refresh") == "" { // a page that looks again keeps what it says
		v.mu.Lock()
		f.Flash, v.session.flash = v.session.flash, flash{}
		v.mu.Unlock()
	}
	v.render(v.w, status, name, f)
}

func (s *Server) render(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := s.pages.ExecuteTemplate(&out, name, data); err != nil {
		s.cfg.Log.Error("console: page "+name, "error", err)
		http.Error(w, "this page cannot be shown; the agent's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(out.Bytes()) //nolint:errcheck // the browser has gone
}

// news is a stream of events: one for everything worth another look.
func (v *view) news() error {
	ctx, cancel := context.WithTimeout(v.ctx(), sessionLife)
	defer cancel()
	v.w.Header().Set("Content-Type", "text/event-stream")
	for news, err := range v.cfg.Agent.News(ctx) {
		if err != nil {
			return nil //nolint:nilerr // the browser asks again
		}
		raw, err := json.Marshal(news)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(v.w, "data: %s\n\n", raw); err != nil {
			return nil //nolint:nilerr // the browser has gone
		}
		if err := http.NewResponseController(v.w).Flush(); err != nil {
			return nil //nolint:nilerr // the browser has gone
		}
	}
	return nil
}

func (v *view) signOut() error {
	if cookie, err := v.r.Cookie(cookieName); err == nil {
		v.mu.Lock()
		v.keys.leave(cookie.Value)
		v.mu.Unlock()
	}
	v.lockedOut(v.door, v.w, "You have left the console.")
	return nil
}

// appRef is the address of an app's page.
func appRef(app string) string { return "app?ref=" + url.QueryEscape(app) }

// form is one value of a form that must be there.
func (v *view) form(name string) (string, error) {
	if value := v.r.PostFormValue(name); value != "" {
		return value, nil
	}
	return "", &api.Error{Code: "invalid", Message: "the form has no " + name}
}

var errEarly = errors.New("the question takes no answer in the first second after it is shown: read it, then answer")
