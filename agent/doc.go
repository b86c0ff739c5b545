// Package agent is the daemon: it takes requests over the local API, fetches
// images, starts apps in their sandboxes, stands between each of them and the
// world (Broker), and keeps what the user answered.
//
// It promises that an app's questions reach the user or are refused; that the
// only sockets an app ever uses are ones the agent connected after a yes; that
// taking a grant back cuts them; and that after a crash of the agent nothing
// it started goes on running. It parses nothing that an app sends: that is
// done by the worker of the app, in a process of its own.
package agent
