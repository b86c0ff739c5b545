// Package rulefile reads and writes rules as people do: one a line, in plain
// text. Presets, exports and imports are all of this form. A file with one bad
// line is refused as a whole.
//
//	# a comment
//	app sha256:…  hello.wasm          the rules below are of this app
//	allow net.connect tcp/*.example.com:443
//	deny  data.identity *             for 1h
//	allow file.read "docs/my letters" until 2026-12-24T18:00:00Z
//
// Words stand apart by spaces or tabs; one with spaces, quotes or a leading #
// is quoted as in Go. A rule without for or until lasts until it is taken back.
package rulefile
