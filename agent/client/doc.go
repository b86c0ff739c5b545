// Package client talks to the agent over its local API.
//
// It promises that every error it returns says what went wrong and, through
// Hint, what to do about it; that answers and lines from the agent are bounded
// before memory is taken; and that it speaks to no agent of another user or of
// another API version. It starts the agent only through the Starter it is
// given, and decides nothing.
package client
