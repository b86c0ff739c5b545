package hcs

import (
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// result is an HRESULT.
type result uint32

// Results that say what is missing (winerror.h, hcs error codes).
const (
	accessDenied       result = 0x80070005
	hypervisorMissing  result = 0x80370102 // HCS_E_HYPERV_NOT_INSTALLED
	serviceMissing     result = 0x80370114 // HCS_E_SERVICE_NOT_AVAILABLE
	notRegistered      result = 0x80040154 // REGDB_E_CLASSNOTREG
	serviceUnknown     result = 0x80070424 // ERROR_SERVICE_DOES_NOT_EXIST
	noMemory           result = 0x8007000e
	insufficientMemory result = 0x800705af // ERROR_COMMITMENT_LIMIT
)

const (
	turnOn = "as administrator: dism /online /enable-feature /all /featurename:Microsoft-Hyper-V (Windows Pro, Enterprise or Education), turn on virtualization in the firmware, then restart; or use WSL: --isolation native"
	join   = "as administrator: net localgroup \"Hyper-V Administrators\" USER /add, then sign in again"
)

var remedies = map[result]struct{ what, remedy string }{
	accessDenied:       {"this user may not start virtual machines", join},
	hypervisorMissing:  {"Hyper-V is off", turnOn},
	serviceMissing:     {"Hyper-V is off", turnOn},
	notRegistered:      {"Hyper-V is not installed", turnOn},
	serviceUnknown:     {"Hyper-V is not installed", turnOn},
	noMemory:           {"there is not enough memory for the machine", "end something, or give the app less with --memory"},
	insufficientMemory: {"there is not enough memory for the machine", "end something, or give the app less with --memory"},
}

// failed is the error of a call that did not succeed; said is the service's own
// document about it, if there is one.
func failed(call string, r result, said string) error {
	if m, known := remedies[r]; known {
		return fmt.Errorf("%w: %s: %s (%s: 0x%08x)", sandbox.ErrNotSupported, m.what, m.remedy, call, uint32(r))
	}
	const most = 1000
	if said != "" {
		return fmt.Errorf("%s: 0x%08x: %s", call, uint32(r), said[:min(len(said), most)])
	}
	return fmt.Errorf("%s: 0x%08x", call, uint32(r))
}

// oldestBuild of Windows starts a Linux kernel without firmware: Windows 10 1903.
const oldestBuild = 18362

func checkBuild(build uint32) error {
	if build < oldestBuild {
		return fmt.Errorf("%w: this is build %d of Windows; machines of ours need %d (Windows 10 1903): update Windows", sandbox.ErrNotSupported, build, oldestBuild)
	}
	return nil
}
