package api

// Signer is a key that must have signed every image of a repository:
//
//	GET    /v1/signers                   []Signer
//	DELETE /v1/signers?repository=REPO
//
// RunRequest.Verify and PullRequest.Verify set it.
type Signer struct {
	Repository string `json:"repository"`
	ID         string `json:"id"`  // SHA-256 of the key, hex
	Key        string `json:"key"` // PEM
}

// Dropped counts what policy left out of an image's layers: an app has no
// devices of its image, and nobody gains rights by a file.
type Dropped struct {
	Devices      int `json:"devices,omitempty"`
	Capabilities int `json:"capabilities,omitempty"`
	Xattrs       int `json:"xattrs,omitempty"`
}

// Attachment is something that a registry has beside an image. It is listed,
// not believed.
type Attachment struct {
	Kind   string `json:"kind"` // "signature", "sbom", "provenance", "attestation", "other"
	Type   string `json:"type,omitempty"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Of     string `json:"of"`    // digest of the image or index it is about
	Where  string `json:"where"` // "referrer", "tag", "index"
}
