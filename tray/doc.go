// Package tray is what a user sees of Consentry on the desktop: an icon with a
// menu, and notifications that ask. It talks to the agent through its client,
// decides nothing, and can do nothing that the command line cannot.
//
// It promises that nothing is answered but by a press on a button that says
// so: a notification that closes, expires or is lost changes nothing; that no
// yes is given while the screen is locked, by a menu that has just changed, or
// where the whole of what is asked for does not fit; that a question answered
// elsewhere is taken from the screen; and that an app's words stand neither in
// a title nor on a button, and are never read as markup.
//
// It does not promise that a desktop shows anything: without a place for the
// icon or a service for notifications it says so, and everything can be
// answered by the command line and the console.
//
//	state of the agent ──▶ MenuOf, Plan (pure) ──▶ Panel, Notifier (one per system)
//	                                                  │ clicks, answers
//	agent ◀── client ◀──────────── Tray ◀─────────────┘
package tray
