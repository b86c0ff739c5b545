// Package review works out what the user is asked about the manifest of an app,
// and what the answers lead to. It decides and keeps nothing: what was reviewed
// is remembered so that it is not shown again, and grants nothing by itself.
package review
