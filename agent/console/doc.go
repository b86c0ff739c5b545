// Package console serves the page on which a user sees and answers what apps
// ask for, from the agent, to a browser on the same computer.
//
// It is a client of the local API like any other: it decides nothing, and can
// do nothing that the command line cannot.
//
// The way in:
//
//	consentry console      agent                          browser
//	  | POST /v1/console     |                               |
//	  | -------------------> | listens on 127.0.0.1:PORT,    |
//	  |                      | writes FILE (mode 0600)       |
//	  | <------------------- |   with a form, a token in it  |
//	  | opens FILE           |                               |
//	  | ---------------------------------------------------> |
//	  |                      | POST /SECRET/enter, token     |
//	  |                      | <---------------------------- |
//	  |                      | removes FILE; cookie          |
//	  |                      | ----------------------------> |
//
// It promises that a token works once and for 30 seconds; that neither token
// nor cookie stands in the arguments of a process or in an address; that no
// page of another origin, and no other name for this computer (DNS rebinding),
// gets or does anything; that nothing of a page comes from elsewhere; that an
// answer carries the nonce of a question that this browser was shown at least
// a second before; and that nobody listens when nobody looks.
//
// It does not promise to withstand other programs of the same user, who can
// read that user's files, or a browser extension.
//
// Cookies do not know ports: what a browser has for 127.0.0.1 it also sends to
// an app's published port there. So the cookie is for a path that is made up
// anew each time the listener starts, and no such request has that path. The
// prefix __Host- would want https.
package console
