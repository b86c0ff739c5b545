package portal

import (
	"context"
	"io"
	"net"
	"sync"
)

// maxGreeting is how much of an app's first words is read at once, in bytes.
const maxGreeting = 4 << 10

// words is what one side said first.
type words struct {
	data []byte
	err  error
}

// serveSilent is for a client that says nothing: perhaps the app is to speak
// first, as mail and database servers do, perhaps a browser opened the
// connection before it had a question. Whoever speaks first decides. Once the
// app has spoken, neither an HTTP answer to a question that nobody asked gets
// out, nor a request or TLS in, which would go past the guard.
func (d *door) serveSilent(ctx context.Context, c *client) error {
	app, err := d.to.DialApp(ctx, d.app)
	if err != nil {
		c.cut()
		return err
	}
	stop := context.AfterFunc(ctx, func() { app.Close() })
	defer stop()
	defer app.Close()
	fromApp, fromClient := make(chan words, 1), make(chan error, 1)
	go func() { fromApp <- firstWords(app) }()
	go func() { fromClient <- peek(c.TCPConn, func(head []byte) bool { return len(head) > 0 }) }()
	select {
	case err := <-fromClient:
		app.Close()
		<-fromApp
		if err != nil {
			return err
		}
		said, err := listenTo(c.TCPConn, false)
		if err != nil {
			return err
		}
		return d.carry(ctx, c, said)
	case greeting := <-fromApp:
		if greeting.err != nil || answersHTTP(greeting.data) {
			c.cut()
			<-fromClient //nolint:errcheck // it was cut
			return greeting.err
		}
		return greeted(c, app, greeting.data, fromClient)
	}
}

func firstWords(conn net.Conn) words {
	head := make([]byte, maxGreeting)
	n, err := conn.Read(head)
	if n > 0 {
		err = nil
	}
	return words{head[:n], err}
}

// greeted carries both ways after the app's greeting.
func greeted(c *client, app net.Conn, greeting []byte, fromClient <-chan error) error {
	var up sync.WaitGroup
	up.Go(func() {
		said := speaksOther
		err := <-fromClient
		if err == nil {
			said, err = listenTo(c.TCPConn, false)
		}
		if said == speaksHTTP || said == speaksTLS {
			c.cut()
			app.Close()
			return
		}
		if err == nil {
			_, err = io.Copy(app, c.TCPConn)
		}
		endOf(app, err)
	})
	_, err := c.Write(greeting)
	if err == nil {
		_, err = io.Copy(c.TCPConn, app)
	}
	endOf(c, err)
	up.Wait()
	return nil
}

// endOf passes an end of stream on as a half-close, and anything else as an end.
func endOf(to net.Conn, err error) {
	half, can := to.(interface{ CloseWrite() error })
	if err != nil && err != io.EOF || !can { //nolint:errorlint // as peek and Copy return it
		to.Close()
		return
	}
	half.CloseWrite() //nolint:errcheck // the other direction notices
}
