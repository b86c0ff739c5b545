//go:build unix

package userdata

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
)

// systemLocale is what the system was set to: the variables of POSIX (Base
// Definitions, 8.2), TZ, and the link that systems keep to their time zone.
func systemLocale() map[string]string {
	known := map[string]string{}
	if locale := localeOf(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG"))); locale != "" {
		known["locale"] = locale
	}
	zone := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if zone == "" {
		file, err := filepath.EvalSymlinks("/etc/localtime")
		if err == nil {
			_, zone, _ = strings.Cut(file, "/zoneinfo/")
		}
	}
	if zone != "" && !filepath.IsAbs(zone) {
		known["timezone"] = zone
	}
	return known
}
