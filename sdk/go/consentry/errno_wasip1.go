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

func errorOf(call string, errno uint32) error {
	if errno == 0 {
		return nil
	}
	known := map[uint32]error{
		errnoACCES: ErrDenied, errnoAGAIN: ErrAgain, errnoFBIG: ErrTooLarge,
		errnoHOSTUNREACH: ErrUnreachable, errnoINVAL: ErrInvalid, errnoNOTSUP: ErrNotSupported,
	}
	if err, ok := known[errno]; ok {
		return fmt.Errorf("%s: %w", call, err)
	}
	return fmt.Errorf("%s: error %d", call, errno)
}
