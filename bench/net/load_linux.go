package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The first byte of a connection tells the server what to do with it.
const (
	sink   = 'u'
	source = 'd'
	echo   = 'e'
)

const block = 1 << 20

// serve is the server's process: it prints its port and ends with stdin.
func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	return nil
}

func answer(conn net.Conn) {
	defer conn.Close()
	what := make([]byte, 1)
	if _, err := io.ReadFull(conn, what); err != nil {
		return
	}
	switch what[0] {
	case sink:
		buf := make([]byte, block)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	case source:
		buf := make([]byte, block)
		for {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	case echo:
		conn.Write(what)
		buf := make([]byte, 512)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			conn.Write(buf[:n])
		}
	}
}

// load is the app's process: load ADDR stream up|down N SECONDS, load ADDR
// connect N PARALLEL, load ADDR idle N. It prints one figure a line.
func load(args []string) error {
	if len(args) < 3 {
		return errors.New("load: too few arguments")
	}
	addr, numbers := args[0], []int{}
	for _, arg := range args[2:] {
		if n, err := strconv.Atoi(arg); err == nil {
			numbers = append(numbers, n)
		}
	}
	switch args[1] {
	case "stream":
		return stream(addr, args[2], numbers[0], time.Duration(numbers[1])*time.Millisecond)
	case "connect":
		return connects(addr, numbers[0], numbers[1])
	case "idle":
		return idle(addr, numbers[0])
	}
	return fmt.Errorf("load: %q", args[1])
}

// warmUp is left out of a stream's figure.
const warmUp = 300 * time.Millisecond

func stream(addr, way string, n int, span time.Duration) error {
	var moved atomic.Int64
	var wg sync.WaitGroup
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		conns[i] = conn
		wg.Go(func() { move(conn, way, &moved) })
	}
	time.Sleep(warmUp)
	from, start := moved.Load(), time.Now()
	time.Sleep(span)
	bytes, took := moved.Load()-from, time.Since(start)
	for _, conn := range conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	wg.Wait()
	fmt.Println(float64(bytes) * 8 / took.Seconds() / 1e9)
	return nil
}

func move(conn net.Conn, way string, moved *atomic.Int64) {
	what, act := byte(sink), conn.Write
	if way == "down" {
		what, act = source, conn.Read
	}
	if _, err := conn.Write([]byte{what}); err != nil {
		return
	}
	buf := make([]byte, 256<<10)
	for {
		n, err := act(buf)
		if err != nil {
			return
		}
		moved.Add(int64(n))
	}
}

// connects makes n connections, parallel at a time, each until a byte has come
// back; it prints the median time of one in µs, then how many in a second.
func connects(addr string, n, parallel int) error {
	times := make([]float64, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	start := time.Now()
	for range parallel {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				began := time.Now()
				if err := visit(addr); err != nil {
					failed.Store(&err)
					return
				}
				times[i-1] = float64(time.Since(began).Microseconds())
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	slices.Sort(times)
	fmt.Println(times[n/2])
	fmt.Println(float64(n) / time.Since(start).Seconds())
	return nil
}

func visit(addr string) error {
	conn, err := open(addr)
	if err != nil {
		return err
	}
	conn.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: ports would run out
	return conn.Close()
}

func open(addr string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return nil, err
	}
	what := []byte{echo}
	if _, err = conn.Write(what); err == nil {
		_, err = io.ReadFull(conn, what)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// idle opens n connections, says so, and holds them until stdin ends.
func idle(addr string, n int) error {
	for range n {
		conn, err := open(addr)
		if err != nil {
			return err
		}
		defer conn.Close()
	}
	fmt.Println(n)
	bufio.NewReader(os.Stdin).ReadByte()
	return nil
}
