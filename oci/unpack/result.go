package unpack

// Result says what a layer held and what was left out of it.
type Result struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"` // of file contents
	// Left out by policy.
	Devices int `json:"devices,omitempty"` // device nodes
	Caps    int `json:"caps,omitempty"`    // file capabilities
	Xattrs  int `json:"xattrs,omitempty"`  // other extended attributes outside user.*
	// RootOpaque: the layer hides all below it. overlayfs does not look for the
	// mark on the root of a lowerdir, so the layers below must not be mounted.
	RootOpaque bool `json:"rootOpaque,omitempty"`
	// Relative: what the layer means depends on the layers below it (hard
	// links into them, directories it only implies, whiteouts); it must be
	// settled on them and is good for that stack alone.
	Relative bool `json:"relative,omitempty"`

	implied   []string // directories that no entry named, parents first
	whiteouts []string
	links     []link // in the order of the stream
}

// Add counts another layer too.
func (r *Result) Add(other *Result) {
	r.Entries += other.Entries
	r.Bytes += other.Bytes
	r.Devices += other.Devices
	r.Caps += other.Caps
	r.Xattrs += other.Xattrs
}

// link is a hard link whose target the layer itself does not have.
type link struct {
	path   string // real path below the layer's root
	target string // clean, as written
	order  int
}
