// Command fetch is an app without anything around it: it gets the pages it is
// given, and says what processor it was built for and how each went.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"syscall"
)

func main() {
	var name syscall.Utsname
	if err := syscall.Uname(&name); err != nil {
		fmt.Println(err)
	}
	machine := make([]byte, 0, len(name.Machine))
	for _, c := range name.Machine {
		if c != 0 {
			machine = append(machine, byte(c))
		}
	}
	fmt.Printf("%s on %s\n", runtime.GOARCH, machine)
	for _, url := range os.Args[1:] {
		page, err := get(url)
		if err != nil {
			page = "no\n"
			fmt.Fprintln(os.Stderr, err)
		}
		fmt.Print(page)
	}
}

func get(url string) (string, error) {
	r, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	return string(page), err
}
