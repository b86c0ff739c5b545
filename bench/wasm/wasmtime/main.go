// Command wasmtime runs a WASI program under wasmtime, with its cache of
// compiled code. It is a module of its own, so that nobody else needs its
// C library.
package main

import (
	"log"
	"os"

	wasmtime "github.com/bytecodealliance/wasmtime-go/v37"
)

func main() {
	config := wasmtime.NewConfig()
	if err := config.CacheConfigLoadDefault(); err != nil {
		log.Fatal(err)
	}
	engine := wasmtime.NewEngineWithConfig(config)
	module, err := wasmtime.NewModuleFromFile(engine, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	linker := wasmtime.NewLinker(engine)
	if err := linker.DefineWasi(); err != nil {
		log.Fatal(err)
	}
	wasi := wasmtime.NewWasiConfig()
	wasi.InheritStdout()
	wasi.InheritStderr()
	wasi.SetArgv(os.Args[1:2])
	store := wasmtime.NewStore(engine)
	store.SetWasi(wasi)
	instance, err := linker.Instantiate(store, module)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := instance.GetFunc(store, "_start").Call(store); err != nil {
		if exit, ok := err.(*wasmtime.Error); ok {
			if code, known := exit.ExitStatus(); known {
				os.Exit(int(code))
			}
		}
		log.Fatal(err)
	}
}
