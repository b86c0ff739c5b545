// Command client measures the data API from inside a sandbox: client REQUESTS
// CONNECTIONS prints one line of JSON. With no arguments it waits.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	address = "10.0.2.2:9999"
	request = "GET /v1/user/email?purpose=to+measure HTTP/1.1\r\nHost: " + address + "\r\nConsentry-Request: 1\r\n\r\n"
)

func main() {
	if len(os.Args) < 3 {
		time.Sleep(time.Hour)
		return
	}
	requests, err1 := strconv.Atoi(os.Args[1])
	connections, err2 := strconv.Atoi(os.Args[2])
	if err1 != nil || err2 != nil {
		fmt.Fprintln(os.Stderr, "usage: client REQUESTS CONNECTIONS")
		os.Exit(2)
	}
	began := time.Now()
	times := make([][]time.Duration, connections)
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() { times[i] = measure(requests / connections) })
	}
	all.Wait()
	took := time.Since(began)
	each := slices.Sorted(slices.Values(slices.Concat(times...)))
	//nolint:errcheck // the pipe is ours
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": len(each), "connections": connections, "perSecond": int(float64(len(each)) / took.Seconds()),
		"p50": each[len(each)/2].String(), "p99": each[len(each)*99/100].String(),
	})
}

func measure(requests int) []time.Duration {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fail(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	times := make([]time.Duration, requests)
	for i := range times {
		began := time.Now()
		if _, err := conn.Write([]byte(request)); err != nil {
			fail(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			fail(err)
		}
		var got map[string]string
		err = json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || got["email"] == "" {
			fail(fmt.Errorf("status %d, %v: %w", resp.StatusCode, got, err))
		}
		times[i] = time.Since(began)
	}
	return times
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
