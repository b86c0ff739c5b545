// Package worker is the process that meets an app's bytes on behalf of the
// agent: the router of an image, or the wasm runtime of a module. One process
// serves one run, is confined before it starts, and dies alone.
//
//	agent                                     worker
//	  | exec, socket as fd 3                    |
//	  | load{module}: perhaps, before any run   |
//	  | --------------------------------------> |  confines itself, compiles, runs nothing
//	  | route{} + link socket                   |  or  module{spec} + stdin, stdout, stderr
//	  | --------------------------------------> |  confines itself, starts
//	  | answer: it is ready (or why it is not)  |
//	  | <-------------------------------------- |
//	  | ports{all that are published}           |  broker.dial, broker.open, …
//	  | --------------------------------------> | -------------------------------> agent
//	  | inbound{port} + accepted connection     |
//	  | --------------------------------------> |
//	  | answer: the connection has ended        |
//	  | <-------------------------------------- |
//	  | placeholders{names} + files of FUSE     |  broker.file, when one is touched
//	  | --------------------------------------> | -------------------------------> agent
//	  | begin{}: a module begins to run         |
//	  | --------------------------------------> |
//	  | wait{}                                  |
//	  | --------------------------------------> |
//	  | answer: its Exit, when it has ended     |
//	  | <-------------------------------------- |
//
// When either end of the socket closes, the worker ends.
package worker

import (
	"github.com/consentry/consentry/agent/portal"
	"github.com/consentry/consentry/sandbox"
)

// The calls of the agent.
const (
	verbRoute   = "worker.route"
	verbLoad    = "worker.load"
	verbModule  = "worker.module"
	verbPorts   = "worker.ports"
	verbInbound = "worker.inbound"
	verbStats   = "worker.stats"
	verbCapture = "worker.capture"

	verbPlaceholders = "worker.placeholders"

	verbBegin   = "worker.begin"
	verbWait    = "worker.wait"
	verbStop    = "worker.stop"
	verbSignal  = "worker.signal"
	verbPosture = "worker.posture"
)

// routeJob starts the router; the link socket comes with it.
type routeJob struct {
	Hostname  string `json:"hostname"`            // of the app
	Bandwidth int64  `json:"bandwidth,omitempty"` // bytes a second, each way
}

// loadJob makes a module ready for a run that is not known yet.
type loadJob struct {
	Module sandbox.Module `json:"module"`           // its call names a function, and has no input
	Memory int64          `json:"memory,omitempty"` // limit in bytes, 0 for the standard
}

// loadJobOf is what a later run of the same module can use of this one: nothing
// that was said to this one alone.
func loadJobOf(spec sandbox.Spec) loadJob {
	job := loadJob{Module: *spec.Module, Memory: spec.Limits.Memory}
	if call := job.Module.Call; call != nil {
		job.Module.Call = &sandbox.ModuleCall{Function: call.Function}
	}
	return job
}

// same says whether one job serves for the other.
func (j loadJob) same(other loadJob) bool {
	return other.fits(sandbox.Spec{Module: &j.Module, Limits: sandbox.Limits{Memory: j.Memory}})
}

// fits says whether a worker with this job can run spec: it can open no folder
// that it was not confined to.
func (j loadJob) fits(spec sandbox.Spec) bool {
	m := spec.Module
	return m != nil && len(spec.Mounts) == 0 && j.Memory == spec.Limits.Memory &&
		j.Module.Path == m.Path && j.Module.Digest == m.Digest && j.Module.Cache == m.Cache
}

// moduleJob starts a wasm module; its standard files come with it.
type moduleJob struct {
	Spec sandbox.Spec `json:"spec"`
}

// ports are all that are published over TCP from now on.
type ports struct {
	Ports []portal.Port `json:"ports"`
}

// inbound carries a connection that the agent accepted on a published port of
// the user's computer, or one end of a pair that carries the datagrams of one
// client to a UDP port of the app. It is answered when the connection has ended.
type inbound struct {
	Host   uint16 `json:"host,omitempty"`   // TCP
	AppUDP uint16 `json:"appUDP,omitempty"` // UDP
}

type signal struct {
	Signal sandbox.Signal `json:"signal"`
}
