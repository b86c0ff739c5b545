package api

import "time"

// The calls about the files of one run:
//
//	GET    /v1/runs/REF/changes                   []Change: against its image
//	GET    /v1/runs/REF/files?path=/P             a tar stream
//	PUT    /v1/runs/REF/files?path=/DIR           a tar stream, unpacked there
//	GET    /v1/runs/REF/snapshots                 []Snapshot
//	POST   /v1/runs/REF/snapshots                 SnapshotRequest → Snapshot
//	POST   /v1/runs/REF/snapshots/NAME/restore    of a run that has ended
//	GET    /v1/runs/REF/snapshots/NAME/changes    []Change: since then
//	DELETE /v1/runs/REF/snapshots/NAME

// Change is one path that differs.
type Change struct {
	Kind string `json:"kind"` // "A" added, "C" changed, "D" deleted
	Path string `json:"path"`
}

// Snapshot is a kept state of what an app wrote.
type Snapshot struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"` // on disk
}

// SnapshotRequest makes one; without a name it is called by the time.
type SnapshotRequest struct {
	Name string `json:"name,omitempty"`
}
