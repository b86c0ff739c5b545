// Package chain is the form of the ledger: its lines, the hash that ties each
// to the one before, and parts of it that prove themselves outside the store.
//
// It promises that a part which is proved was signed with the key it names, and
// that no line of it was changed, added or taken away since. It keeps nothing
// and opens no store, so that a program which only proves a part needs no more.
package chain
