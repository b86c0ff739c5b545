package api

// DiskUse is one line of `df`: GET /v1/df lists them.
type DiskUse struct {
	What        string `json:"what"` // "images", "modules", "runs", "volumes"
	Count       int    `json:"count"`
	Active      int    `json:"active"` // of them are needed
	Bytes       int64  `json:"bytes"`
	Reclaimable int64  `json:"reclaimable"` // bytes
	Remedy      string `json:"remedy,omitempty"`
	// Shared is what layers that several images have would take more.
	Shared int64 `json:"shared,omitempty"`
}
