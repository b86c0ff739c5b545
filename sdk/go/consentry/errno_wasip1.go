package consentry

import "fmt"

// Numbers of WASI preview 1 that the host returns.
const (
	errnoACCES       = 2
	errnoAGAIN       = 6
	errnoFBIG        = 22
	errnoHOSTUNREACH = 23
	errnoINVAL       = 28
	errnoNOBUFS      = 42
	errnoNOENT       = 44
	errnoNOTSUP      = 58
)

// codeOf is the code of an Error that a number stands for.
func codeOf(errno uint32) string {
	known := map[uint32]string{
		errnoACCES: "denied", errnoAGAIN: "timeout", errnoINVAL: "invalid", errnoNOTSUP: "unknown-kind", errnoNOENT: "not-found",
	}
	if code, ok := known[errno]; ok {
		return code
	}
	return "unavailable"
}

func errorOf(call string, errno uint32) error {
	switch errno {
	case 0:
		return nil
	case errnoFBIG:
		return fmt.Errorf("%s: %w", call, ErrTooLarge)
	case errnoHOSTUNREACH:
		return fmt.Errorf("%s: %w", call, ErrUnreachable)
	}
	return &Error{codeOf(errno), fmt.Sprintf("%s: error %d", call, errno)}
}
