// Command app is what the suite runs in a guest.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
)

// exitCode is what the suite expects.
const exitCode = 7

func main() {
	host, _ := os.Hostname() //nolint:errcheck // it is compared
	fmt.Fprintf(os.Stdout, "%s/%s on %s\n", runtime.GOOS, runtime.GOARCH, host)
	if err := os.WriteFile("/tmp/written", []byte("x"), 0o600); err != nil {
		fmt.Fprintln(os.Stdout, "write:", err)
	}
	if f, err := os.Open("/dev/sda"); err == nil {
		f.Close()
		fmt.Fprintln(os.Stdout, "a disk of the machine can be opened")
	}
	if conn, err := net.DialTimeout("tcp", "192.0.2.1:80", 3*time.Second); err == nil {
		conn.Close()
		fmt.Fprintln(os.Stdout, "the network is open")
	}
	os.Exit(exitCode)
}
