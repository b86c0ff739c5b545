package worker

import (
	"path/filepath"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// Check finds nothing missing: what a worker is confined by, a host looks at.
func Check() error { return nil }

// confineRouter leaves the router nothing but the descriptors it has.
func confineRouter() error {
	return linuxhost.ConfineWorker(linuxhost.Worker{})
}

// prepareConfine makes confineModule quicker.
func prepareConfine() { linuxhost.PrepareWorker() }

// confineModule leaves the runtime the module, its cache, the mounts of the
// module, and the files that TLS and time zones need.
func confineModule(spec sandbox.Spec) error {
	w := linuxhost.Worker{
		Wasm:     true,
		Memory:   moduleMemory(spec.Limits.Memory),
		ReadDirs: []string{filepath.Dir(spec.Module.Path), "/etc/ssl", "/usr/share/ca-certificates", "/usr/share/zoneinfo"},
	}
	if spec.Module.Cache != "" {
		w.WriteDirs = append(w.WriteDirs, spec.Module.Cache)
	}
	for _, m := range spec.Mounts {
		if m.ReadOnly {
			w.ReadDirs = append(w.ReadDirs, m.Source)
		} else {
			w.WriteDirs = append(w.WriteDirs, m.Source)
		}
	}
	return linuxhost.ConfineWorker(w)
}
