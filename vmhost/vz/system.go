package vz

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// oldest is the macOS whose console device has named ports.
const oldest = 13

// entitlement is what a program needs to call the framework.
const entitlement = "com.apple.security.virtualization"

// judge says what is missing: of the system's version, its processor, and the
// helper's signature.
func judge(version string, hypervisor bool, signature string) error {
	var errs error
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldest {
		errs = fmt.Errorf("%w: macOS %s: machines of ours need macOS %d: update it", sandbox.ErrNotSupported, version, oldest)
	}
	if !hypervisor {
		errs = errors.Join(errs, fmt.Errorf("%w: virtualization: this Mac, or the machine that macOS runs in, has none: use another", sandbox.ErrNotSupported))
	}
	if !strings.Contains(signature, entitlement) {
		errs = errors.Join(errs, fmt.Errorf("%w: consentry-vz lacks the entitlement %s: install consentry again, or sign it: codesign --sign - --entitlements packaging/darwin/entitlements.plist --force consentry-vz", sandbox.ErrNotSupported, entitlement))
	}
	return errs
}
