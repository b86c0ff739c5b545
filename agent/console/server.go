package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// Config is what a console is given.
type Config struct {
	Agent *client.Client // whose console it is; the caller closes it
	Dir   string         // where the files of a way in are written; only its owner may read it
	Log   *slog.Logger
	Now   func() time.Time
	Idle  time.Duration // how long it listens while nobody looks; 0: 10 minutes
}

const (
	defaultIdle   = 10 * time.Minute
	headerTimeout = 10 * time.Second
	maxForm       = 64 << 10 // bytes
	maxUses       = 64       // requests at once, those that wait for news among them
)

// Server is the console of one agent.
type Server struct {
	cfg   Config
	pages *template.Template

	mu     sync.Mutex
	closed bool
	door   *door // while it listens
	keys   keys
}

// door is what exists while the console listens.
type door struct {
	host string // 127.0.0.1:PORT
	base string // "/SECRET/"

	server *http.Server
	ctx    context.Context // of all that it serves
	stop   context.CancelFunc
	served chan struct{}  // closed when nothing is served any more
	starts sync.WaitGroup // of apps

	uses int // requests under way; guarded by the server's mu
	idle *time.Timer
}

// New makes a console; nothing is served before Open.
func New(cfg Config) *Server {
	if cfg.Idle == 0 {
		cfg.Idle = defaultIdle
	}
	return &Server{cfg: cfg, pages: parsePages(), keys: newKeys()}
}

// Open listens, if nobody does yet, and returns a way in.
func (s *Server) Open(_ context.Context, req api.ConsoleRequest) (api.Console, error) {
	page, ok := pageOf(req.Page)
	if !ok {
		return api.Console{}, &api.Error{
			Code: "invalid", Message: fmt.Sprintf("the console has no page %.40q", req.Page), Status: http.StatusBadRequest,
			Hint: `use "apps", "flows", "log", "system", "add" or none`,
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return api.Console{}, errors.New("the agent is ending")
	}
	if s.door == nil {
		if err := s.listen(); err != nil {
			return api.Console{}, fmt.Errorf("console: %w", err)
		}
	}
	s.door.idle.Reset(s.cfg.Idle)
	now := s.cfg.Now()
	s.keys.expire(now)
	way := api.Console{URL: "http://" + s.door.host + s.door.base}
	life := tokenLife
	if req.Code {
		life = codeLife
	}
	t := token{ends: now.Add(life), page: page, done: func() {}}
	way.Seconds = int(life.Seconds())
	if req.Code {
		way.Code = inGroups(s.keys.issue(t, true))
		return way, nil
	}
	way.File = filepath.Join(s.cfg.Dir, "console-"+rand.Text()[:8]+".html")
	t.done = func() { os.Remove(way.File) } //nolint:errcheck // then it has gone
	secret := s.keys.issue(t, false)
	if err := writeBootstrap(way.File, way.URL+"enter", secret); err != nil {
		return api.Console{}, fmt.Errorf("console: %w", err)
	}
	time.AfterFunc(life+time.Second, s.expire)
	return way, nil
}

// tidy removes the files that an agent which was killed has left; they open
// nothing.
func (s *Server) tidy() {
	left, _ := filepath.Glob(filepath.Join(s.cfg.Dir, "console-*.html"))
	for _, file := range left {
		os.Remove(file) //nolint:errcheck // it opens nothing
	}
}

// expire takes away the files whose time is over.
func (s *Server) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.expire(s.cfg.Now())
}

// inGroups is a code as it is easily read: groups of four.
func inGroups(code string) string {
	var parts []string
	for ; len(code) > 4; code = code[4:] {
		parts = append(parts, code[:4])
	}
	return strings.Join(append(parts, code), " ")
}

// listen opens the door; mu is held.
func (s *Server) listen() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.tidy()
	ctx, stop := context.WithCancel(context.Background())
	d := &door{host: l.Addr().String(), base: "/" + strings.ToLower(rand.Text()) + "/", ctx: ctx, stop: stop, served: make(chan struct{})}
	d.server = &http.Server{
		Handler: s.handler(d), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	d.idle = time.AfterFunc(s.cfg.Idle, func() { s.closeIdle(d) })
	s.door, s.keys = d, newKeys()
	go func() {
		defer close(d.served)
		if err := d.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Log.Error("console", "error", err)
		}
	}()
	return nil
}

// closeIdle ends the door if nobody used it for long.
func (s *Server) closeIdle(d *door) {
	s.mu.Lock()
	if s.door != d || d.uses > 0 {
		s.mu.Unlock()
		return
	}
	s.drop()
	s.mu.Unlock()
	d.end()
}

// drop takes the door away from those who come; mu is held.
func (s *Server) drop() {
	s.keys.dropTokens()
	s.door, s.keys = nil, newKeys()
}

func (d *door) end() {
	d.idle.Stop()
	d.stop()
	d.server.Close() //nolint:errcheck // the listener's, which is gone
	<-d.served
	d.starts.Wait()
}

// Close ends the console and waits until it has.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	d := s.door
	if d != nil {
		s.drop()
	}
	s.mu.Unlock()
	if d != nil {
		d.end()
	}
}

// begin counts a request; false means that there are too many.
func (s *Server) begin(d *door) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door != d || d.uses >= maxUses {
		return false
	}
	d.uses++
	d.idle.Stop()
	return true
}

func (s *Server) finish(d *door) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.uses--; d.uses == 0 && s.door == d {
		d.idle.Reset(s.cfg.Idle)
	}
}
