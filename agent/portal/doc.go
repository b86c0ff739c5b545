// Package portal stands between the user's own programs, a browser above all,
// and the published ports of an app. It runs in the app's worker: what it
// parses comes from the app.
//
// A published port is a way out: a page of the app runs in the user's browser,
// which may connect to anything. For HTTP the portal therefore
//
//   - answers only to the names it has (localhost, 127.0.0.1, [::1] and
//     APP.localhost, with the port), so that no page of another site reaches it
//     by a name of its own (DNS rebinding);
//   - refuses what other sites could make a browser do: requests that change
//     something, and WebSockets, with the Origin of another;
//   - adds a Content-Security-Policy to every answer, which lets pages load
//     from the app itself and from the hosts that the app was granted;
//   - adds a Connection-Allowlist, by which browsers that know it also neither
//     look names up nor open connections ahead, navigate or speak WebRTC elsewhere;
//   - refuses answers that send the client on to where the app was not granted;
//   - refuses service workers, as they can answer pages without that policy.
//
// It streams both ways and keeps nothing. A connection is HTTP when its client
// begins with an HTTP/1 request line; TLS is refused, as the portal cannot look
// into it; anything else is carried as it is. A raw port is carried without a
// look and has no policy.
//
// What is not stopped in a browser that knows no Connection-Allowlist: a page that
// navigates away takes what stands in the new address with it, and the names that
// it hints at are looked up. docs/ports.md says so to users.
package portal
