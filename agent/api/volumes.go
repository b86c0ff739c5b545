package api

import "time"

// The calls about volumes:
//
//	GET    /v1/volumes                []Volume
//	POST   /v1/volumes                VolumeRequest → Volume
//	GET    /v1/volumes/NAME           Volume
//	DELETE /v1/volumes/NAME
//	POST   /v1/volumes/prune?all=1    RemovedVolumes
//	GET    /v1/volumes/NAME/backup    a tar stream
//	PUT    /v1/volumes/NAME/restore   a tar stream → Volume, which must not be there
//
// TarType is the Content-Type of those streams, which are not bounded as other
// bodies are.
const TarType = "application/x-tar"

// Volume is one named volume.
type Volume struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"` // of file contents
	Files   int64     `json:"files"`
	// OfRun is the run that it was made for, because its image asks for a
	// volume at Target; "" for one that the user named.
	OfRun  string   `json:"ofRun,omitempty"`
	Target string   `json:"target,omitempty"`
	Runs   []string `json:"runs,omitempty"` // names of those that have it
}

// VolumeRequest makes an empty volume.
type VolumeRequest struct {
	Name string `json:"name"`
}

// RemovedVolumes is what prune removed.
type RemovedVolumes struct {
	Names []string `json:"names"`
	Bytes int64    `json:"bytes"`
}
