package api

// Forms of GET /v1/images/export?ref=REF&form=FORM, which answers with the
// merged tree of an image.
const (
	ExportTar  = "tar"
	ExportExt4 = "ext4" // a file system image, for microVMs
)
