// Package hosttest is the suite that a person runs on a machine of their own, to
// see whether what boots microVMs there does what it must: `make test-host`, or
// go test -tags hosttest -v ./vmhost/hosttest. See docs/hosts.md.
package hosttest
