// Package data is the bridge to the user's data: what kinds there are, where
// their values come from, and the HTTP API through which an app asks.
//
// It promises that a value leaves only through Service.Read, which its caller
// calls after the user said yes; that the HTTP API knows its caller by the
// wire it came in on, never by what the request says; and that a web page in
// an app's browser cannot trigger it. It decides nothing itself.
package data
