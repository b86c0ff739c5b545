package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"

	"github.com/consentry/consentry/agent/portal"
	"github.com/consentry/consentry/data/httpapi"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/router"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
	"github.com/consentry/consentry/wasmhost"
)

// socketFD is where the agent's socket is inherited.
const socketFD = 3

// Main is the worker process: it serves one run and ends with the agent's
// socket. It returns the exit code.
func Main() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	confined, err := await(os.Args[min(len(os.Args), 2):])
	if err != nil {
		log.Error("worker", "error", err)
		return 1
	}
	conn, err := fdwire.FromFile(os.NewFile(socketFD, "agent"))
	if err != nil {
		log.Error("the worker is started by the agent, not by hand", "error", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &server{log: log, ctx: ctx, asRouter: confined, routing: make(chan struct{})}
	s.peer = wire.New(conn, s.handle)
	err = s.peer.Serve(ctx)
	// Its jobs are not waited for: they end with the process, and hold nothing
	// that had to be written.
	if !errors.Is(err, io.EOF) {
		log.Error("worker", "error", err)
		return 1
	}
	return 0
}

// await does beforehand what a worker that waits can do without its job, and
// says whether it is confined to be a router.
func await(args []string) (confined bool, err error) {
	switch {
	case len(args) == 0:
		return false, nil
	case args[0] == string(Warm):
		warm()
		return false, nil
	case args[0] == string(Confined):
		return true, confineRouter()
	}
	return false, fmt.Errorf("%w: a worker that waits as %q", sandbox.ErrInvalid, args[0])
}

// server holds the one job of this process.
type server struct {
	log      *slog.Logger
	peer     *wire.Peer
	ctx      context.Context // of the process: ends with the agent's socket
	asRouter bool            // it was confined to be one before it had its job

	mu     sync.Mutex
	busy   bool
	loaded *wasmhost.Loaded // for a run that is to come; nil otherwise
	load   loadJob          // what is in it
	module sandbox.Instance // compiled, or running
	begin  func()           // sets it running

	routing chan struct{} // closed once router and portal are there
	router  *router.Router
	portal  *portal.Portal
}

func (s *server) handle(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	switch verb {
	case verbRoute:
		return wire.Reply{}, s.route(body, files)
	case verbLoad:
		fdwire.CloseAll(files)
		return wire.Reply{}, s.loadModule(body)
	case verbModule:
		return wire.Reply{}, s.prepareModule(body, files)
	case verbPlaceholders:
		return wire.Reply{}, s.placeholders(body, files)
	case verbInbound:
		return wire.Reply{}, s.inbound(ctx, body, files)
	case verbCapture:
		done, err := s.capture(ctx, body, files)
		return wire.Reply{Body: done}, err
	case verbStats:
		fdwire.CloseAll(files)
		stats, err := s.networkStats(ctx)
		return wire.Reply{Body: stats}, err
	case verbPorts:
		fdwire.CloseAll(files)
		return wire.Reply{}, s.setPorts(ctx, body)
	}
	fdwire.CloseAll(files)
	module := s.current()
	if module == nil {
		return wire.Reply{}, fmt.Errorf("%w: %s before a module was started", sandbox.ErrInvalid, verb)
	}
	switch verb {
	case verbBegin:
		s.begin()
		return wire.Reply{}, nil
	case verbWait:
		exit, err := module.Wait(ctx)
		return wire.Reply{Body: exit}, err
	case verbStop:
		return wire.Reply{}, module.Stop(ctx)
	case verbSignal:
		return wire.Reply{}, signalModule(ctx, module, body)
	case verbPosture:
		posture, err := module.Posture(ctx)
		return wire.Reply{Body: posture}, err
	}
	return wire.Reply{}, fmt.Errorf("%w: %q", sandbox.ErrInvalid, verb)
}

func (s *server) current() sandbox.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.module
}

// claim makes sure that this process gets one job only.
func (s *server) claim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return fmt.Errorf("%w: this worker has its job already", sandbox.ErrInvalid)
	}
	s.busy = true
	return nil
}

// route confines the process and serves the network card that comes over the
// link socket. It answers before the card is there, as the card is made by the
// sandbox that is started next.
func (s *server) route(body json.RawMessage, files []*os.File) error {
	var job routeJob
	if err := json.Unmarshal(body, &job); err != nil {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if len(files) != 1 {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: %d files for a link", sandbox.ErrInvalid, len(files))
	}
	if err := s.claim(); err != nil {
		fdwire.CloseAll(files)
		return err
	}
	link, err := fdwire.FromFile(files[0])
	if err != nil {
		return err
	}
	if !s.asRouter {
		if err := confineRouter(); err != nil {
			link.Close()
			return err
		}
	}
	runtime.GOMAXPROCS(routerThreads(runtime.NumCPU()))
	go func() {
		if err := s.runRouter(s.ctx, link, job); err != nil {
			s.log.Error("router", "error", err)
		}
		s.peer.Close() // without its router the app is offline: end, so that the agent knows
	}()
	return nil
}

// routerThreads is how many processors a router uses at a time: half of a small
// machine, so that the app and the far end run beside it, and never more than
// two. On two processors one thread moved a third more, and made connections
// twice as fast, as two that woke each other.
func routerThreads(processors int) int { return min(max(processors/2, 1), 2) }

func (s *server) runRouter(ctx context.Context, link *fdwire.Conn, job routeJob) error {
	card, err := receiveCard(link)
	if err != nil {
		return err
	}
	ethernet, err := router.CardLink(card)
	if err != nil {
		return err
	}
	broker := wire.NewBroker(s.peer)
	dataAPI := httpapi.New(broker, DataAPI()...)
	defer dataAPI.Close()
	r, err := router.New(router.Config{
		Link: ethernet, Broker: broker, Log: s.log, Limits: router.Limits{Bandwidth: job.Bandwidth}, Hostname: job.Hostname,
		DataAPI: dataAPI,
	})
	if err != nil {
		return errors.Join(err, ethernet.Close())
	}
	s.router, s.portal = r, portal.New(r, s.log)
	close(s.routing)
	defer s.portal.Close()
	return r.Run(ctx)
}

// receiveCard takes the one message of the link socket and closes it.
func receiveCard(link *fdwire.Conn) (*os.File, error) {
	defer link.Close()
	files, err := link.Recv(&struct{}{})
	if err != nil {
		return nil, fmt.Errorf("network card: %w", err)
	}
	if len(files) != 1 {
		fdwire.CloseAll(files)
		return nil, fmt.Errorf("network card: came with %d files", len(files))
	}
	return files[0], nil
}

// DataAPI returns the addresses of the data API, as an app writes them: the
// IPv4 one first, the name last.
func DataAPI() []string {
	port := strconv.Itoa(sandbox.DataAPIPort)
	return []string{
		net.JoinHostPort(sandbox.Gateway4, port),
		net.JoinHostPort(sandbox.Gateway6, port),
		net.JoinHostPort(sandbox.DataAPIName, port),
	}
}
