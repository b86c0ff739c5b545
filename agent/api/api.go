// Package api is the local API of the agent: the types of its JSON bodies, its
// paths and its errors. It has no code that talks to anyone; agent serves it,
// agent/client calls it.
//
// The API is HTTP over a unix socket that only its owner can open, and the
// agent checks the peer's credentials besides. Every request carries the
// header Consentry-Api with the version below; one with an Origin is refused.
//
//	GET    /v1/version                     Version
//	GET    /v1/doctor                      Doctor
//	POST   /v1/runs                        RunRequest → upgraded to a stream (stream.go)
//	GET    /v1/runs?all=1                  []Run
//	GET    /v1/runs/REF                    RunDetail
//	DELETE /v1/runs/REF?force=1            removes a run that has ended
//	POST   /v1/runs/REF/start              → upgraded to a stream
//	POST   /v1/runs/REF/attach             → upgraded to a stream
//	POST   /v1/runs/REF/stop               StopRequest
//	POST   /v1/runs/REF/kill               KillRequest
//	POST   /v1/runs/REF/pause              Run; also /unpause
//	GET    /v1/stats?run=REF               []RunStats (stats.go)
//	POST   /v1/runs/REF/exec               ExecRequest → upgraded to a stream
//	GET    /v1/runs/REF/logs?follow=1      NDJSON of LogLine
//	GET    /v1/runs/REF/ports              []Port (ports.go)
//	POST   /v1/runs/REF/ports              PortMapping → Port: publishes while the app runs
//	DELETE /v1/runs/REF/ports/HOST?udp=1   Port: cuts its connections
//	GET    /v1/runs/REF/capture?max=BYTES  a pcap file, until the client leaves
//	GET    /v1/flows?run=REF               []Flow: of one run, or of all that run
//	GET    /v1/images                      []Image
//	GET    /v1/images/inspect?ref=REF&attachments=1   Image
//	DELETE /v1/images?ref=REF&force=1      RemovedImages
//	POST   /v1/images/pull                 PullRequest → NDJSON of Progress, last one with Image or Error
//	POST   /v1/images/prune                RemovedImages
//	GET    /v1/requests                    []Prompt
//	POST   /v1/requests/ID                 AnswerRequest
//	GET    /v1/grants?app=APP              []Grant
//	POST   /v1/grants                      Grant → Grant: a rule without a prompt (see Grant)
//	DELETE /v1/grants/ID                   []Grant, those revoked; ID "app:APP" or "all" for many
//	GET    /v1/why?app=APP&target=TARGET   Why
//	GET    /v1/profile                     map of field to value
//	PUT    /v1/profile                     the same: fields to change, "" takes one out
//	GET    /v1/log?follow=1&since=TIME&app=APP&kind=KIND   NDJSON of LedgerLine; TIME is RFC 3339
//	GET    /v1/log/verify                  Verified
//
// REF is the id of a run, a unique prefix of it, or its name.
package api

import (
	"time"

	"github.com/consentry/consentry/sandbox"
)

// The header that every request carries, and its value.
const (
	VersionHeader = "Consentry-Api"
	APIVersion    = "1"
)

// Host is the only one that requests may name: a page whose name was made to
// lead here (DNS rebinding) sends its own.
const Host = "agent"

// Version of the agent.
type Version struct {
	Version string `json:"version"`
	API     string `json:"api"`
	PID     int    `json:"pid"`
	Started time.Time
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Error is the body of every answer that is not 2xx, and the last word of a
// stream that failed.
type Error struct {
	Code    string `json:"code"` // stable: "not-found", "unsupported-format", "denied", …
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do, one sentence
	// Waive names the walls that are missing, with CodeWall: RunRequest.Waive.
	Waive  []string `json:"waive,omitempty"`
	Status int      `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Codes of Error on which clients branch: how docker's exit codes 127 and 126
// come about.
const (
	CodeWall                 = "wall" // a wall is missing that the user may waive
	CodeCommandNotFound      = "command-not-found"
	CodeCommandNotExecutable = "command-not-executable"
)

// RunRequest starts an app.
type RunRequest struct {
	// Source is a registry reference, a directory (OCI layout), an archive or
	// a wasm file; paths are absolute.
	Source     string             `json:"source"`
	Args       []string           `json:"args,omitempty"`
	Name       string             `json:"name,omitempty"`
	Env        []string           `json:"env,omitempty"` // "K=V"
	Ports      []PortMapping      `json:"ports,omitempty"`
	Volumes    []VolumeMount      `json:"volumes,omitempty"`
	Shares     []Share            `json:"shares,omitempty"`
	Detach     bool               `json:"detach,omitempty"`
	Stdin      bool               `json:"stdin,omitempty"`
	Terminal   bool               `json:"terminal,omitempty"`
	Size       sandbox.WindowSize `json:"size"`
	Remove     bool               `json:"remove,omitempty"`
	User       string             `json:"user,omitempty"`
	WorkDir    string             `json:"workDir,omitempty"`
	Entrypoint []string           `json:"entrypoint,omitempty"` // nil: the image's; [""]: none
	Limits     sandbox.Limits     `json:"limits"`
	Waive      []string           `json:"waive,omitempty"` // walls to do without: "ebpf-lsm", …; into the ledger
	// Isolation is what stands around an image: "native", "vm", or "auto": native
	// where the machine has every wall. "" is the agent's setting.
	Isolation string `json:"isolation,omitempty"`
	// Restart is docker's policy: "no" (default), "on-failure", "on-failure:N",
	// "always", "unless-stopped".
	Restart  string        `json:"restart,omitempty"`
	Health   *HealthCheck  `json:"health,omitempty"`   // over the image's
	NoHealth bool          `json:"noHealth,omitempty"` // none, whatever the image says
	Hold     time.Duration `json:"hold,omitempty"`     // 0: the agent's default
	NoInput  bool          `json:"noInput,omitempty"`
	Presets  []string      `json:"presets,omitempty"`  // rules for this run
	Learn    bool          `json:"learn,omitempty"`    // ask nothing, deny and record: see Learned
	Pull     string        `json:"pull,omitempty"`     // "missing" (default), "always", "never"
	Platform string        `json:"platform,omitempty"` // "linux/arm64"; "" is this machine's
	Verify   string        `json:"verify,omitempty"`   // PEM: the key that must have signed the image, now and later
	// Ephemeral keeps what the app writes in memory, below its memory limit.
	Ephemeral bool `json:"ephemeral,omitempty"`
	// PublishAll publishes every port that the image says it serves on a free
	// port of this computer.
	PublishAll bool `json:"publishAll,omitempty"`
	// Bandwidth is in bytes a second each way; 0 is no limit.
	Bandwidth int64 `json:"bandwidth,omitempty"`
	// Call is the function of a wasm module that runs; nil is _start.
	Call *ModuleCall `json:"call,omitempty"`
}

// VolumeMount mounts a named volume.
type VolumeMount struct {
	Name     string `json:"name"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// OfImage: the image asks for it. The agent sets it.
	OfImage bool `json:"ofImage,omitempty"`
}

// Share gives a folder of the host.
type Share struct {
	Source string `json:"source"`           // absolute
	Target string `json:"target,omitempty"` // "" is /share/BASENAME
	Write  bool   `json:"write,omitempty"`
	Ask    bool   `json:"ask,omitempty"` // not given yet: the app's first touch asks
}

// State of a run.
type State string

// The states.
const (
	Created  State = "created"
	Starting State = "starting"
	Running  State = "running"
	Stopping State = "stopping"
	Paused   State = "paused"
	Exited   State = "exited"
	// Restarting waits for a little before it is started again.
	Restarting State = "restarting"
	Failed     State = "failed" // never ran: see Error
)

// Run is one line of `ps`.
type Run struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	AppName  string        `json:"appName,omitempty"` // clean
	AppID    string        `json:"appId,omitempty"`   // what grants are bound to
	Source   string        `json:"source"`
	Format   string        `json:"format"`
	Digest   string        `json:"digest"`
	State    State         `json:"state"`
	Exit     *sandbox.Exit `json:"exit,omitempty"`
	Error    *Error        `json:"error,omitempty"`
	Created  time.Time     `json:"created"`
	Started  time.Time     `json:"started,omitzero"`
	Ended    time.Time     `json:"ended,omitzero"`
	Command  []string      `json:"command"`
	Ports    []PortMapping `json:"ports,omitempty"`
	Requests int           `json:"requests,omitempty"` // that wait for an answer
	Restarts int           `json:"restarts,omitempty"` // in a row, by the restart policy
	Health   *Health       `json:"health,omitempty"`   // while it runs, and has a check
	Notice   string        `json:"notice,omitempty"`   // why it was paused by itself
}

// RunDetail is what `inspect` shows.
type RunDetail struct {
	Run
	Request RunRequest       `json:"request"`
	Spec    sandbox.Spec     `json:"spec"`
	Posture *sandbox.Posture `json:"posture,omitempty"`
	Grants  []Grant          `json:"grants"`
}

// StopRequest: see sandbox.StopRule. A negative Grace is the app's own.
type StopRequest struct {
	Grace time.Duration `json:"grace"`
}

// KillRequest sends a signal at once.
type KillRequest struct {
	Signal int `json:"signal"` // Linux number; 0 is SIGKILL
}

// ExecRequest runs another process in a running app.
type ExecRequest struct {
	Args     []string           `json:"args"`
	Env      []string           `json:"env,omitempty"`
	WorkDir  string             `json:"workDir,omitempty"`
	User     string             `json:"user,omitempty"`
	Stdin    bool               `json:"stdin,omitempty"`
	Terminal bool               `json:"terminal,omitempty"`
	Size     sandbox.WindowSize `json:"size"`
}

// LogLine is a piece of an app's output.
type LogLine struct {
	Time   time.Time `json:"time"`
	Stream string    `json:"stream"` // "stdout", "stderr"
	Data   []byte    `json:"data"`
}

// PullRequest fetches an image without running it.
type PullRequest struct {
	Source   string `json:"source"`
	Platform string `json:"platform,omitempty"`
	Pull     string `json:"pull,omitempty"`
	Verify   string `json:"verify,omitempty"` // as RunRequest.Verify
}

// Progress of a pull. Total is 0 where it is not known.
type Progress struct {
	Phase string `json:"phase"`          // "resolve", "download", "unpack", "done", "installing"
	Item  string `json:"item,omitempty"` // short digest of a layer
	Done  int64  `json:"done"`           // bytes
	Total int64  `json:"total"`
	Image *Image `json:"image,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Image is one line of `images`.
type Image struct {
	Ref      string            `json:"ref"`
	Digest   string            `json:"digest"`
	Format   string            `json:"format"`
	Size     int64             `json:"size"` // bytes unpacked
	Pulled   time.Time         `json:"pulled"`
	Platform string            `json:"platform,omitempty"`
	Layers   int               `json:"layers"`
	Config   map[string]any    `json:"config,omitempty"` // inspect only
	Labels   map[string]string `json:"labels,omitempty"`
	// Publisher is who vouched for it: "key:HEX" or "registry/repository".
	Publisher string `json:"publisher,omitempty"`
	Signer    string `json:"signer,omitempty"` // id of the key that was checked
	// Annotations of its manifest, inspect only.
	Annotations map[string]string `json:"annotations,omitempty"`
	Dropped     *Dropped          `json:"dropped,omitempty"` // inspect only
	// Attachments, inspect only; AttachmentsError says why they are not known.
	Attachments      []Attachment `json:"attachments,omitempty"`
	AttachmentsError string       `json:"attachmentsError,omitempty"`
}

// RemovedImages is what rmi and prune did.
type RemovedImages struct {
	Refs  []string `json:"refs"`
	Bytes int64    `json:"bytes"`
}

// Prompt is a request that waits, everything in it fit to be shown.
type Prompt struct {
	ID          string    `json:"id"`
	Nonce       string    `json:"nonce"`
	Asked       time.Time `json:"asked"`
	App         string    `json:"app"` // clean name
	Digest      string    `json:"digest"`
	Run         string    `json:"run"`
	RunName     string    `json:"runName"`
	Kind        string    `json:"kind"`
	Target      string    `json:"target"`
	Also        []string  `json:"also,omitempty"`   // more targets of the same site, answered with it; the title has them all
	Title       string    `json:"title"`            // fixed words of ours, the targets in canonical form
	Reason      string    `json:"reason,omitempty"` // the app's words, to be quoted
	Consequence string    `json:"consequence,omitempty"`
	Blast       string    `json:"blast,omitempty"` // what else a yes makes possible
	// LooksLike warns, in our words, that the app's name is or looks like that of another app.
	LooksLike string `json:"looksLike,omitempty"`
	// Notice is the prompt as a notification of the desktop, plain text: the
	// title has the whole of what a yes is about.
	Notice Notice `json:"notice,omitzero"`
	// NotBefore: buttons are dead until then, and the agent refuses their answers.
	NotBefore time.Time `json:"notBefore,omitzero"`
	Live      bool      `json:"live"`             // the app waits for it now
	Queued    bool      `json:"queued,omitempty"` // and is asked about something else first: do not show it as a prompt yet
	Behind    int       `json:"behind,omitempty"` // questions of this app that wait to be shown after this one
	Count     int       `json:"count"`            // requests that this prompt stands for
	Choices   []Choice  `json:"choices"`
}

// Notice is what a notification shows.
type Notice struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

// Choice is one answer that a prompt offers.
type Choice struct {
	Label    string        `json:"label"` // "Allow once"
	Verdict  string        `json:"verdict"`
	Lifetime string        `json:"lifetime"`
	For      time.Duration `json:"for,omitempty"`
	Target   string        `json:"target,omitempty"`
	// Everything: the answer is a no to all that no rule allows the app, from now on.
	Everything bool   `json:"everything,omitempty"`
	Shape      string `json:"shape,omitempty"` // see AnswerRequest
}

// AnswerRequest answers a prompt.
type AnswerRequest struct {
	Nonce    string        `json:"nonce"`
	Verdict  string        `json:"verdict"`  // "allow" or "deny"
	Lifetime string        `json:"lifetime"` // "once", "run", "time", "always"
	For      time.Duration `json:"for,omitempty"`
	Target   string        `json:"target,omitempty"`
	Fields   []string      `json:"fields,omitempty"`
	// Shape is what the user makes of a yes about data: JSON, see docs/data.md.
	Shape string `json:"shape,omitempty"`
	By    string `json:"by"` // "cli" for a command that names the request; others are buttons
	// Everything: see Choice. It goes with verdict "deny" and a lifetime that lasts.
	Everything bool `json:"everything,omitempty"`
}

// Grant is a rule, allowing or denying. In POST /v1/grants the client sets App
// (name, digest, or the id or name of a run), Kind, Target, Verdict, Lifetime
// ("run", "time" or "always"), Expires with "time", By, and may set Shape.
type Grant struct {
	ID       string    `json:"id"`
	App      string    `json:"app"` // name
	AppID    string    `json:"appId"`
	Run      string    `json:"run,omitempty"`
	Kind     string    `json:"kind"`
	Target   string    `json:"target"`
	Verdict  string    `json:"verdict"`
	Lifetime string    `json:"lifetime"`
	Expires  time.Time `json:"expires,omitzero"`
	Since    time.Time `json:"since"`
	Lapses   time.Time `json:"lapses,omitzero"` // when it ends if it is not used before
	Used     time.Time `json:"used,omitzero"`
	Uses     int64     `json:"uses"`
	By       string    `json:"by"`
	Shape    string    `json:"shape,omitempty"` // see AnswerRequest
	// Notice says, of one that was taken back, which run was paused by it.
	Notice string `json:"notice,omitempty"`
}

// Why explains a verdict.
type Why struct {
	App     string `json:"app"`
	Target  string `json:"target"`
	Verdict string `json:"verdict"` // "allow", "deny", "ask"
	Text    string `json:"text"`
	Rule    *Grant `json:"rule,omitempty"`
}

// LedgerLine is one line of the ledger.
type LedgerLine struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // "ask", "answer", "use", "revoke", "start", "stop", …
	App     string    `json:"app,omitempty"`
	AppID   string    `json:"appId,omitempty"`
	Run     string    `json:"run,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Target  string    `json:"target,omitempty"`
	Verdict string    `json:"verdict,omitempty"`
	Source  string    `json:"source,omitempty"`
	Rule    string    `json:"rule,omitempty"`
	Request string    `json:"request,omitempty"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	In      int64     `json:"in,omitempty"`  // bytes to the app
	Out     int64     `json:"out,omitempty"` // bytes from the app
	Hash    string    `json:"hash"`
}

// Verified is the result of `log verify`.
type Verified struct {
	OK     bool   `json:"ok"`
	Lines  uint64 `json:"lines"`
	Detail string `json:"detail,omitempty"`
}

// Doctor says what this machine can do.
type Doctor struct {
	Hosts []HostCheck `json:"hosts"`
	Home  string      `json:"home"`
	Store string      `json:"store"` // "ok" or what is wrong
	// Keychain says where the key of the store is kept.
	Keychain string `json:"keychain"`
}

// HostCheck is one host of the agent.
type HostCheck struct {
	Name    string         `json:"name"`
	Ready   bool           `json:"ready"`
	Problem string         `json:"problem,omitempty"`
	Walls   []sandbox.Wall `json:"walls,omitempty"`
}
