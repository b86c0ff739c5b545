// Package worker is the process that meets an app's bytes on behalf of the
// agent: the router of an image, or the wasm runtime of a module. One process
// serves one run, is confined before it starts, and dies alone.
//
//	agent                                     worker
//	  | exec, socket as fd 3                    |
//	  | route{} + link socket                   |  or  module{spec} + stdin, stdout, stderr
//	  | --------------------------------------> |  confines itself, starts
//	  | answer: it runs (or why it does not)    |
//	  | <-------------------------------------- |
//	  | inbound{port} + accepted connection     |  broker.dial, broker.open, …
//	  | --------------------------------------> | -------------------------------> agent
//	  | wait{} … answered with the Exit         |
//	  | <-------------------------------------- |
//
// When either end of the socket closes, the worker ends.
package worker

import (
	"github.com/consentry/consentry/sandbox"
)

// The calls of the agent.
const (
	verbRoute   = "worker.route"
	verbModule  = "worker.module"
	verbInbound = "worker.inbound"
	verbWait    = "worker.wait"
	verbStop    = "worker.stop"
	verbSignal  = "worker.signal"
	verbPosture = "worker.posture"
)

// routeJob starts the router; the link socket comes with it.
type routeJob struct {
	Run string `json:"run"`
}

// moduleJob starts a wasm module; its standard files come with it.
type moduleJob struct {
	Spec sandbox.Spec `json:"spec"`
}

// inbound carries a connection that the agent accepted on a published port.
type inbound struct {
	Port uint16 `json:"port"`
}

type signal struct {
	Signal sandbox.Signal `json:"signal"`
}
