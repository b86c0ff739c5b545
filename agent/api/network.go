package api

import "time"

// Flow is one connection, open or waiting for an answer.
type Flow struct {
	Run     string `json:"run"`
	RunName string `json:"runName"`
	// Direction is "out", or "in" for a published port.
	Direction string `json:"direction"`
	Network   string `json:"network"`           // "tcp", "udp"
	Host      string `json:"host"`              // the name the app asked for, or an address; "in": the client's
	Port      uint16 `json:"port"`              // "in": the app's
	Address   string `json:"address,omitempty"` // what was dialled
	Via       string `json:"via,omitempty"`     // upstream proxy
	State     string `json:"state"`             // "open", "held"
	// Grants are the ids of the rules it lives by; none is a yes for once, or
	// a port that the user published.
	Grants []string  `json:"grants,omitempty"`
	In     int64     `json:"in"`  // bytes to the app
	Out    int64     `json:"out"` // bytes from the app
	Began  time.Time `json:"began"`
}

// Network is what the router of one run did since the start, and holds.
type Network struct {
	FramesIn  uint64 `json:"framesIn"` // from the app
	FramesOut uint64 `json:"framesOut"`
	// Bytes of flows that have ended, and of those that are open.
	BytesIn  uint64 `json:"bytesIn"` // to the app
	BytesOut uint64 `json:"bytesOut"`
	Queries  uint64 `json:"queries"` // DNS
	Flows    int    `json:"flows"`   // open, both directions
	Held     int    `json:"held"`    // waiting for an answer
	Names    int    `json:"names"`   // that have an address
	// Bandwidth is the limit, in bytes a second each way; 0 is none.
	Bandwidth int64 `json:"bandwidth,omitempty"`
	// Drops counts, by reason, frames that were dropped and flows that were
	// refused or cut.
	Drops map[string]uint64 `json:"drops"`
}
