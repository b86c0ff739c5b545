//go:build !linux

package router

// lot holds nothing here: a flow that waits keeps its goroutine.
type lot struct{}

const (
	lotReadable = 0
	lotBroken   = 0
)

func newLot() (*lot, error) { return &lot{}, nil }

func (*lot) wait(*farEnd, uint32) bool { return false }
func (*lot) forget(*farEnd)            {}
func (*lot) run()                      {}
func (*lot) close()                    {}
