package router

import "errors"

// guard looks at what an app says on a flow that was dialled by name, before it
// goes out.
type guard interface {
	// look takes data, and whether the app says no more. It returns what may go
	// out now, whether it need not look at the rest, or why the flow is cut.
	look(data []byte, end bool) (pass []byte, done bool, why reason)
}

// errGuarded ends a flow that a guard has cut.
var errGuarded = errors.New("the app did not say what it was granted")

// guardOf returns the guard of a flow, nil when there is nothing to look at: an
// address that was granted as an address may be called by any name.
func guardOf(f *flow) guard {
	switch {
	case f.network != "tcp" || f.to.name == nil:
		return nil
	case f.to.port == tlsPort:
		return &helloGuard{host: f.to.host}
	}
	return nil
}
