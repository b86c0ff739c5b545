//go:build !linux && !windows && (!darwin || !cgo)

package tray

// withPanel: this build has no icon.
func withPanel(_ bool, serve func(Panel) error) error { return serve(nil) }
