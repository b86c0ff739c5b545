package sandbox

import "errors"

// The ways a Broker says no. Everything that is not one of them is a fault,
// and a fault is a no as well.
var (
	ErrDenied      = errors.New("denied by the user")
	ErrBlocked     = errors.New("denied without a question: asking is off for this app")
	ErrUndeclared  = errors.New("denied without a question: the app's manifest does not name it")
	ErrHeld        = errors.New("no answer yet; the request waits in the inbox, try again later") // retryable
	ErrBusy        = errors.New("too many requests of this app are waiting")                      // retryable
	ErrUnreachable = errors.New("target is not reachable")
	ErrRefused     = errors.New("the far end refused the connection")
	ErrTimeout     = errors.New("the far end does not answer")
	ErrInvalid     = errors.New("invalid request")
	ErrUnknownKind = errors.New("unknown kind of data")
	ErrNothing     = errors.New("it is given, and holds nothing of that name")
	ErrUnavailable = errors.New("the agent cannot answer")
	ErrEnded       = errors.New("the app has ended")
)

// Why files cannot be put into an app.
var (
	ErrPlace       = errors.New("cannot be written there")
	ErrNoDirectory = errors.New("no directory to copy to")
)

// codes name the errors on the wire between processes: a Broker's, and those a
// start or a copy may end with.
var codes = map[string]error{
	"denied":       ErrDenied,
	"blocked":      ErrBlocked,
	"undeclared":   ErrUndeclared,
	"held":         ErrHeld,
	"busy":         ErrBusy,
	"unreachable":  ErrUnreachable,
	"refused":      ErrRefused,
	"timeout":      ErrTimeout,
	"invalid":      ErrInvalid,
	"unknown-kind": ErrUnknownKind,
	"nothing":      ErrNothing,
	"unavailable":  ErrUnavailable,
	"ended":        ErrEnded,
	"unsupported":  ErrNotSupported,
	"wall":         ErrWall,
	"place":        ErrPlace,
	"no-directory": ErrNoDirectory,
}

// Code names err for another process: one of the codes above, "unavailable"
// for any other error, "" for nil.
func Code(err error) string {
	if err == nil {
		return ""
	}
	for code, sentinel := range codes {
		if errors.Is(err, sentinel) {
			return code
		}
	}
	return "unavailable"
}

// FromCode is the inverse of Code; detail is kept as the text.
func FromCode(code, detail string) error {
	if code == "" {
		return nil
	}
	sentinel, known := codes[code]
	if !known {
		sentinel = ErrUnavailable
	}
	return &brokerError{sentinel: sentinel, detail: detail}
}

type brokerError struct {
	sentinel error
	detail   string
}

func (e *brokerError) Error() string {
	if e.detail != "" {
		return e.detail
	}
	return e.sentinel.Error()
}

func (e *brokerError) Unwrap() error { return e.sentinel }
