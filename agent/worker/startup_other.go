//go:build !linux

package worker

// startUp has nothing to let go of here.
func startUp() (forget func()) { return func() {} }
