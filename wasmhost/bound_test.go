package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// nestedLoops is a function that uses every one of its locals inside of a nest
// of loops: in each loop each local is a value of its own to the compiler.
func nestedLoops(locals, depth int) string {
	body := wasmbin.AppendU32([]byte{1}, uint32(locals))
	body = append(body, 0x7f)
	body = append(body, strings.Repeat("\x03\x40", depth)...)
	for i := range locals {
		body = append(body, 0x20)
		body = append(wasmbin.AppendU32(body, uint32(i)), 0x1a)
	}
	body = append(body, strings.Repeat("\x0b", depth+1)...)
	return "\x0a\x01" + string(wasmbin.AppendU32(nil, uint32(len(body)))) + string(body)
}

// bombEnv makes this program the process that compiles the module it names.
const bombEnv = "CONSENTRY_TEST_COMPILE"

const bombLimit = 256 << 20

// compileBomb is run in a process of its own, as what it begins is left behind.
func compileBomb(path string) int {
	host := New(Config{CompileMemory: bombLimit})
	_, err := host.Start(context.Background(), sandbox.Spec{Module: &sandbox.Module{Path: path}}, &testBroker{})
	if !errors.Is(err, ErrCompileMemory) {
		os.Stderr.WriteString("error " + fmt.Sprint(err))
		return 1
	}
	os.Stdout.WriteString(err.Error())
	return 0
}

func TestNextLook(t *testing.T) {
	for _, c := range []struct {
		left       time.Duration
		processors int
		want       time.Duration
	}{
		{time.Second, 4, 250 * time.Millisecond},
		{time.Microsecond, 1, shortLook},
		{time.Hour, 1, longLook},
		{time.Second, 0, time.Second},
	} {
		if got := nextLook(c.left, c.processors); got != c.want {
			t.Errorf("%s on %d processors: %s, want %s", c.left, c.processors, got, c.want)
		}
	}
}
