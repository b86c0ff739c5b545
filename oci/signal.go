package oci

import (
	"strconv"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// Real-time signals as glibc counts them; it keeps 32 and 33 for itself.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// signals are Linux's numbers on every processor but MIPS, Alpha and SPARC.
var signals = map[string]sandbox.Signal{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7,
	"FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14,
	"TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21,
	"TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28,
	"IO": 29, "POLL": 29, "PWR": 30, "SYS": 31, "RTMIN": sigRTMin, "RTMAX": sigRTMax,
}

// parseSignal reads "SIGTERM", "term", "15" or "SIGRTMIN+3"; 0 for all else.
func parseSignal(s string) sandbox.Signal {
	if n, err := strconv.Atoi(s); err == nil {
		return inRange(n)
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if plus, is := strings.CutPrefix(name, "RTMIN+"); is {
		return realTime(sigRTMin, 1, plus)
	}
	if minus, is := strings.CutPrefix(name, "RTMAX-"); is {
		return realTime(sigRTMax, -1, minus)
	}
	return signals[name]
}

func realTime(base, sign int, offset string) sandbox.Signal {
	n, err := strconv.ParseUint(offset, 10, 6)
	if at := base + sign*int(n); err == nil && at >= sigRTMin {
		return inRange(at)
	}
	return 0
}

func inRange(n int) sandbox.Signal {
	if n < 1 || n > sigRTMax {
		return 0
	}
	return sandbox.Signal(n)
}
