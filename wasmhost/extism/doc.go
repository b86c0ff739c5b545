// Package extism is the host module "extism:host/env", which plugins built for
// Extism import: a memory of its own that plugin and host share, the input and
// output of a call, configuration, variables, logging and HTTP.
//
// It promises:
//   - each hop of an HTTP exchange is asked for at the Broker, redirects
//     included; there is no list of allowed hosts that a redirect walks out of;
//   - the shared memory, the variables and the answers are bounded, and no
//     offset from the plugin reads or writes outside of the shared memory;
//   - what a plugin logs counts as its output and is cleaned of control
//     characters.
//
// It does not offer functions of "extism:host/user", which another host would
// have to bring.
package extism
