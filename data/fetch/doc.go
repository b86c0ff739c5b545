// Package fetch makes HTTP exchanges for an app, over connections of its Broker.
//
// It promises:
//   - each hop of an exchange, redirects included, is a connection of its own
//     with a verdict of its own; none is used twice;
//   - no proxy, cookie, credential or resolver of this machine has a part in
//     it, and TLS is verified for the host that was asked about;
//   - the handle of a secret in a header becomes its value on the way to the
//     origin that the user keeps it for, and nowhere else: the app never has it;
//   - sizes of requests, headers and bodies are bounded.
package fetch
