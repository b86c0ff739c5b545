package router

// checkHello is true for flows that need no check.
func (s *splice) checkHello(buf []byte) bool { return true }
