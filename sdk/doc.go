// Package sdk holds what authors of apps build on: schemas here, libraries in
// the folders below.
package sdk

import _ "embed"

// OpenAPI describes the data API over HTTP: OpenAPI 3.1, JSON.
//
//go:embed openapi.json
var OpenAPI []byte
