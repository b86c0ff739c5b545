// Package consent decides what an app may have: it looks rules up, asks the
// user, keeps the answers and writes everything down.
//
// It promises that no answer never means yes; that an error, a full queue or a
// damaged store is a no; that an answer confirmed to the user is on disk; and
// that what was asked, answered and used stands in the ledger. It knows nothing
// of networks or processes: targets are text in the canonical form of their
// kind, and whoever asks enforces the verdict.
package consent
