// Package appfs puts files into the writable layer of an app that does not run,
// or into a volume.
//
// Promised: nothing outside the layer or volume is written, whatever the app
// left there: every path is walked inside os.Root, links of the app are never
// followed by what is written, and what the layers below have is changed only
// by being covered. A file appears with the owner that it is given, as an id of
// the app.
package appfs
