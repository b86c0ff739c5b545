package wsl

import (
	"fmt"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// oldestKernel maps the ids of overlay layers.
var oldestKernel = version{5, 19}

const (
	installWSL = "as administrator: wsl --install --no-distribution, then restart Windows"
	updateWSL  = "wsl --update"
	firmware   = "turn on virtualization in the firmware of the computer, and the Windows feature Virtual Machine Platform (" + installWSL + ")"
)

// causes are parts of what wsl.exe says in every language (its error codes, and
// Windows' own), and what is to be done about each.
var causes = []struct{ part, what, remedy string }{
	{"HCS_E_HYPERV_NOT_INSTALLED", "no virtual machine can be started", firmware},
	{"0x80370102", "no virtual machine can be started", firmware},
	{"HCS_E_SERVICE_NOT_AVAILABLE", "the Windows feature Virtual Machine Platform is off", installWSL},
	{"0x80370114", "the Windows feature Virtual Machine Platform is off", installWSL},
	{"WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED", "the Windows feature for WSL is off", installWSL},
	{"0x8007019e", "the Windows feature for WSL is off", installWSL},
	{"WSL_E_VIRTUAL_MACHINE_PLATFORM_REQUIRED", "the Windows feature Virtual Machine Platform is off", installWSL},
	{"WSL_E_NOT_A_LINUX_DISTRO", "this WSL does not take consentry's distro", updateWSL},
	{"WSL_E_DISTRO_NOT_FOUND", "the distro of consentry is gone", "start the app again: it is imported anew"},
	{"MountVhd", "the disk of consentry's distro cannot be opened", "wsl --unregister " + Distro + ", and start the app again (what apps have written in it is lost)"},
	{"0x80070005", "WSL is forbidden to this user", "ask whoever administers this computer for WSL"},
	{"ERROR_DISK_FULL", "the disk is full", "free some space"},
	{"0x80070070", "the disk is full", "free some space"},
}

// explain makes an error of a call of wsl.exe that failed: what it said, and
// what to do where that is known.
func explain(call string, err error, said string) error {
	said = strings.TrimSpace(said)
	for _, c := range causes {
		if strings.Contains(said, c.part) {
			return fmt.Errorf("%w: WSL: %s: %s (wsl %s: %s)", sandbox.ErrNotSupported, c.what, c.remedy, call, c.part)
		}
	}
	if said == "" {
		return fmt.Errorf("wsl %s: %w", call, err)
	}
	return fmt.Errorf("wsl %s: %w: %s", call, err, tail(said))
}

// maxSaid bounds what is quoted of a program, in bytes.
const maxSaid = 1000

func tail(s string) string {
	return strings.ToValidUTF8(s[max(0, len(s)-maxSaid):], "")
}

// checkVersions judges what --version said; err is how it ended.
func checkVersions(out string, err error) error {
	if err != nil {
		return fmt.Errorf("%w: this WSL knows no --version, so it is the old one of Windows itself: %s", sandbox.ErrNotSupported, updateWSL)
	}
	v, ok := parseVersions(out)
	if !ok {
		return fmt.Errorf("%w: wsl --version said %q: %s", sandbox.ErrNotSupported, tail(out), updateWSL)
	}
	if v.kernel.less(oldestKernel) {
		return fmt.Errorf("%w: WSL's kernel is %d.%d, older than %d.%d, which maps the owners of an app's files: %s",
			sandbox.ErrNotSupported, v.kernel[0], v.kernel[1], oldestKernel[0], oldestKernel[1], updateWSL)
	}
	return nil
}

// errNoWSL is the answer where there is no wsl.exe.
func errNoWSL(err error) error {
	return fmt.Errorf("%w: WSL: %w: Windows 10 22H2, Windows 11 or newer; %s", sandbox.ErrNotSupported, err, installWSL)
}
