// Package data says what an app may ask of its user: the kinds of data and
// actions, what a request for one looks like, and what of the user's records
// an answer may hold. It does no input or output and decides nothing; package
// consent decides, agent/userdata has the records, data/httpapi and
// wasmhost/bridge are how apps ask.
//
// It promises that Answer gives no field that was not granted, no record that
// the user left out and no value that the user had hidden or replaced; and
// that it gives the same error where there is nothing as where the user said
// no, so that the difference tells an app nothing.
package data
