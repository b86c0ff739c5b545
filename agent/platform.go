package agent

import "runtime"

// What this agent was built for, for `consentry version`.
const (
	goos   = runtime.GOOS //nolint:forbidigo // said, not branched on
	goarch = runtime.GOARCH
)
