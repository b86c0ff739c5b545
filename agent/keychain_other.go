//go:build !linux && !darwin && !windows

package agent

const sessionKeychain = "none"

func sessionReachable() bool { return false }
