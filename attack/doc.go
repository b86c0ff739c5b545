// Package attack tries, from inside a sandbox, what a hostile app would try,
// and says whether the walls held.
//
// Probes lists the attacks by the rows of the threat table. The program in
// attack/probe carries them out inside; Run starts it on any sandbox.Host, and
// Judge compares what it reports with what must happen. A probe holds only if
// every one of its attempts was really made and really refused: a program that
// says nothing, or ends early, is a failure.
//
// What happened outside is for the caller to check: Run sees what the app sees.
package attack
