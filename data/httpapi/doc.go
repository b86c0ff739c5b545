// Package httpapi is the data API over HTTP: how a program in an image asks for
// the user's data. docs/data.md is its reference, sdk/openapi.json its form.
//
// It promises that its caller is known by the wire alone: one API serves one
// run, and nothing in a request says who asks; that a web page in an app's
// browser can trigger nothing (exact Host, a header that needs a preflight,
// which is never answered, no Origin); that memory and open requests are
// bounded; and that an answer which may not be used any more is not given again.
//
//	POST /v1/requests ── pending ──▶ granted, partial ── lease ends ──▶ denied
//	                        └──────▶ a problem: denied, blocked, undeclared, timeout, busy, …
package httpapi
