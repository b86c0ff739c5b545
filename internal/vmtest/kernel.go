package vmtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The kernels that `make kernels` fetches.
const (
	Stock     = "stock"     // of the release itself; Debian 12: 6.1
	Backports = "backports" // newer, where the release has one; Debian 12: 6.12
	Newest    = "newest"    // of a later Debian: 7.x
	ForGuests = "guest"     // newer, with what guests of ours need
	ForARM64  = "arm64"     // the same for arm64
)

// Thorough says whether tests of LSM programs may take as long as they need: for
// CONSENTRY_LONG=1 and for `make test-lsm`.
func Thorough() bool { return os.Getenv("CONSENTRY_LONG") != "" || os.Getenv("CONSENTRY_LSM") != "" }

// LSMKernels are the kernels that tests of LSM programs boot: the second one
// takes as long again.
func LSMKernels() []string {
	if Thorough() {
		return []string{Backports, Newest}
	}
	return []string{Backports}
}

// defaultModules are what sandboxes stand on, where they are not built in.
var defaultModules = []string{"overlay", "fuse", "tun"}

// kernel is a directory made by scripts/kernels.sh.
type kernel struct{ dir string }

func (k kernel) image() string { return filepath.Join(k.dir, "vmlinuz") }

// findKernel looks in the cache of the module that the test runs in.
func findKernel(name string) (kernel, error) {
	root, err := moduleRoot()
	if err != nil {
		return kernel{}, err
	}
	k := kernel{filepath.Join(root, ".cache", "kernels", name)}
	if _, err := os.Stat(k.image()); err != nil {
		return kernel{}, fmt.Errorf("needs the kernel %q: run `make kernels`: %w", name, err)
	}
	return k, nil
}

// Kernel is the image of a fetched kernel and the files of the named modules, in
// the order of loading.
func Kernel(name string, modules ...string) (image string, files []string, err error) {
	k, err := findKernel(name)
	if err != nil {
		return "", nil, err
	}
	files, err = k.moduleOrder(modules)
	return k.image(), files, err
}

// moduleRoot is the nearest folder upwards with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}

// moduleOrder returns the files of the named modules and of all they depend
// on, each after those it needs. What is built into the kernel is left out;
// what is neither a file nor built in is an error.
func (k kernel) moduleOrder(names []string) ([]string, error) {
	dependencies, err := k.dependencies()
	if err != nil {
		return nil, err
	}
	builtin, err := k.builtin()
	if err != nil {
		return nil, err
	}
	byName := map[string]string{}
	for file := range dependencies {
		byName[moduleName(file)] = file
	}
	var order []string
	seen := map[string]bool{}
	var visit func(file string)
	visit = func(file string) {
		if seen[file] {
			return
		}
		seen[file] = true
		for _, needed := range dependencies[file] {
			visit(needed)
		}
		order = append(order, filepath.Join(k.dir, "modules", filepath.FromSlash(file)))
	}
	for _, name := range names {
		file, found := byName[moduleName(name)]
		switch {
		case found:
			visit(file)
		case !builtin[moduleName(name)]:
			return nil, fmt.Errorf("kernel %s has no module %s", filepath.Base(k.dir), name)
		}
	}
	return order, nil
}

// dependencies reads modules.dep: "path: path path".
func (k kernel) dependencies() (map[string][]string, error) {
	text, err := os.ReadFile(filepath.Join(k.dir, "modules", "modules.dep"))
	if err != nil {
		return nil, err
	}
	dependencies := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if file, needed, found := strings.Cut(line, ":"); found {
			dependencies[file] = strings.Fields(needed)
		}
	}
	return dependencies, nil
}

func (k kernel) builtin() (map[string]bool, error) {
	text, err := os.ReadFile(filepath.Join(k.dir, "modules", "modules.builtin"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	builtin := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return builtin, err
}

// moduleName is the name of a module's file as the kernel says it.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
