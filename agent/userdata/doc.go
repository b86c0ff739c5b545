// Package userdata has the user's own data for apps: where each kind comes
// from, and how actions are done. It answers only for what package consent has
// said yes to; package data makes the answer out of what is here.
//
// It promises that no path, address or account that an app names is opened:
// the sources are those that the user has set up, and the files those that the
// user has picked.
package userdata
