package portal

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// Bounds of HTTP. Answers and bodies have no bound: they stream.
const (
	headTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHead        = 256 << 10 // bytes of a request's head
	maxAnswerHead  = 1 << 20   // bytes of an answer's head
	maxIdleToApp   = 16        // connections kept to the app
	idleToApp      = 30 * time.Second
	copyBufferSize = 32 << 10
)

// webServer is the guard of one door and the way behind it.
type webServer struct {
	server http.Server
	queue  queue
	pool   *http.Transport
	work   sync.WaitGroup
}

func newWebServer(d *door, app App, log *slog.Logger) *webServer {
	pool := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return app.DialApp(ctx, d.app)
		},
		DisableCompression: true, MaxIdleConnsPerHost: maxIdleToApp, IdleConnTimeout: idleToApp,
		MaxResponseHeaderBytes: maxAnswerHead,
	}
	w := &webServer{pool: pool, queue: queue{conns: make(chan net.Conn), closed: make(chan struct{})}}
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	behind := &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: pool, FlushInterval: -1, ErrorLog: quiet,
		BufferPool:     &buffers{sync.Pool{New: func() any { return make([]byte, copyBufferSize) }}},
		ModifyResponse: d.answered, ErrorHandler: unanswered,
	}
	w.server = http.Server{
		Handler: d.guard(behind), ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHead, ErrorLog: quiet,
	}
	w.work.Go(func() { w.server.Serve(&w.queue) }) //nolint:errcheck // it ends with close
	return w
}

// serve returns when c is closed.
func (w *webServer) serve(c *client) error {
	select {
	case w.queue.conns <- c:
		<-c.done
		return nil
	case <-w.queue.closed:
		return net.ErrClosed
	}
}

func (w *webServer) close() {
	w.queue.Close()
	w.server.Close() //nolint:errcheck // the clients were cut
	w.pool.CloseIdleConnections()
	w.work.Wait()
}

// guard stands before every request.
func (d *door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := d.now.Load()
		if no := admit(now.port, now.own, r); no != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, no.Error(), no.status)
			return
		}
		// An app may answer before it has read the whole request.
		//nolint:errcheck // HTTP/1 can
		http.NewResponseController(w).EnableFullDuplex()
		next.ServeHTTP(w, r)
	})
}

// rewrite changes nothing but the address: the app sees the Host, the path and
// the query that the client sent.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = "http", "app"
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	r.Out.Host = r.In.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := r.In.Header[name]; values != nil {
			r.Out.Header[name] = values
		}
	}
}

func (d *door) answered(resp *http.Response) error {
	port := d.now.Load().port
	if no := checkRedirect(port, resp, resp.Request.Host, resp.Request.URL); no != nil {
		return no
	}
	guardAnswer(port, resp.Header, resp.Request.Host, isDocument(resp.Request.Header, resp.Header))
	return nil
}

func unanswered(w http.ResponseWriter, r *http.Request, err error) {
	var long *http.MaxBytesError
	var no *refusal
	switch {
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has gone
	case errors.As(err, &no):
		http.Error(w, no.Error(), no.status)
	case errors.As(err, &long):
		http.Error(w, "consentry: too long", http.StatusRequestEntityTooLarge)
	default:
		http.Error(w, "consentry: the app does not answer on this port (yet)", http.StatusBadGateway)
	}
}

// buffers lends what bodies are copied through.
type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte  { return b.Pool.Get().([]byte) }
func (b *buffers) Put(p []byte) { b.Pool.Put(p) } //nolint:staticcheck // a slice header costs less than the copy it saves

// queue is a net.Listener of connections that the agent accepted.
type queue struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
