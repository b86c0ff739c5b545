package wasmhost

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// small is a module of ours that writes nothing to its standard output:
//
//	(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
//	(memory (export "memory") 1)
//	(func (export "_start") (drop (call 0 (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))))
const small = "\x00asm\x01\x00\x00\x00" +
	"\x01\x0c\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x00\x00" +
	"\x02\x23\x01\x16wasi_snapshot_preview1\x08fd_write\x00\x00" +
	"\x03\x02\x01\x01" +
	"\x05\x03\x01\x00\x01" +
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x01" +
	"\x0a\x0f\x01\x0d\x00\x41\x01\x41\x00\x41\x00\x41\x00\x10\x00\x1a\x0b"

// Warm runs a small module of ours, so that the next one finds the runtime's
// code and memory in place.
func (h *Host) Warm(ctx context.Context) error {
	about, err := inspectBytes([]byte(small))
	if err != nil {
		return err
	}
	loaded, err := h.load(ctx, "warm", []byte(small), about, "", 0)
	if err != nil {
		return err
	}
	module, begin, err := loaded.Prepare(sandbox.Spec{Name: "warm", Module: &sandbox.Module{}}, nobody{})
	if err != nil {
		return err
	}
	begin()
	exit, err := module.Wait(ctx)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("it ended with %d: %s", exit.Code, exit.Reason)
	}
	return err
}

// nobody refuses everything.
type nobody struct{ sandbox.Broker }
