package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost"
)

// minFiles are the standard streams and a few more.
const minFiles = 8

// checkModuleLimits refuses what the runtime would not take as it is.
func checkModuleLimits(l sandbox.Limits) error {
	if l.Files != 0 && (l.Files < minFiles || l.Files > wasmhost.MaxFiles) {
		return invalid("limit of %d open files: between %d and %d", l.Files, minFiles, wasmhost.MaxFiles)
	}
	return nil
}

// maxModule bounds a wasm file, in bytes.
const maxModule = 512 << 20

// moduleStore keeps wasm modules by their digest, so that what was looked at
// and asked about is what runs, whatever happens to the user's file meanwhile.
type moduleStore struct {
	dir string

	mu sync.Mutex // held while a module is taken out, or held for a run
}

func openModules(dir string) (*moduleStore, error) {
	m := &moduleStore{dir: dir}
	for _, d := range []string{m.dir, m.cache(), m.refs()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("module store: %w", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	for _, file := range left { // of an agent that was killed
		err = errors.Join(err, os.Remove(file))
	}
	if err != nil {
		return nil, fmt.Errorf("module store: %w", err)
	}
	return m, nil
}

func (m *moduleStore) cache() string { return filepath.Join(m.dir, "cache") }
func (m *moduleStore) refs() string  { return filepath.Join(m.dir, "refs") }

// unfinished begins the name of a file that is being written.
const unfinished = ".new-"

// cacheOf is the directory for the compiled code of one module: the worker that
// runs it can write there, and must not reach the code of another. What is in
// it is told apart by the engine's version.
func (m *moduleStore) cacheOf(digest string) (string, error) {
	dir := m.cachePath(digest)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("module store: %w", err)
	}
	return dir, nil
}

func (m *moduleStore) cachePath(digest string) string {
	return filepath.Join(m.cache(), strings.TrimPrefix(digest, "sha256:"))
}

func (m *moduleStore) path(digest string) string {
	return filepath.Join(m.dir, strings.TrimPrefix(digest, "sha256:")+".wasm")
}

// noticeable is the size of a module, in bytes, whose compiling a person notices.
const noticeable = 2 << 20

// slowToCompile says whether the start will take a while: a large module that
// was not compiled before. How far it is nobody can say: the compiler does not.
func (m *moduleStore) slowToCompile(digest, cache string) (size int64, slow bool) {
	info, err := os.Stat(m.path(digest))
	if err != nil || info.Size() < noticeable {
		return 0, false
	}
	kept, err := os.ReadDir(cache)
	return info.Size(), err == nil && len(kept) == 0
}

// add puts the module at source into the store, unless it is there, and says
// what it is. Nothing stays in the store when it is no module.
func (m *moduleStore) add(source string) (app.App, error) {
	name := filepath.Base(source)
	module, found, err := m.stored(name, source)
	if err == nil && !found {
		module, err = m.keep(name, func(to io.Writer) (string, error) { return copyModule(to, source) })
		if err == nil {
			err = m.setPulled(source, module)
		}
	}
	if err == nil && module.Manifest == nil {
		module.Manifest, err = manifestBeside(source)
	}
	return module, err
}

// stored looks for what source has in it now, so that the next start of the
// same module writes nothing. The worker compares the digest once more with
// what it reads.
func (m *moduleStore) stored(name, source string) (module app.App, found bool, err error) {
	digest, err := copyModule(io.Discard, source)
	if err != nil {
		return app.App{}, false, err
	}
	file, err := os.Open(m.path(digest))
	if errors.Is(err, os.ErrNotExist) {
		return app.App{}, false, nil
	}
	if err != nil {
		return app.App{}, false, fmt.Errorf("module store: %w", err)
	}
	defer file.Close()
	if kept, _, err := digestOf(file); err != nil || kept != digest {
		return app.App{}, false, nil //nolint:nilerr // damaged: it is copied again
	}
	module, err = describeModule(name, digest, file)
	return module, err == nil, err
}

// keep puts what write gives into the store, under the digest that it returns.
func (m *moduleStore) keep(name string, write func(io.Writer) (digest string, err error)) (app.App, error) {
	tmp, err := os.CreateTemp(m.dir, unfinished+"*") //nolint:forbidigo // our own directory
	if err != nil {
		return app.App{}, fmt.Errorf("module store: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	digest, err := write(tmp)
	if err != nil {
		return app.App{}, err
	}
	module, err := describeModule(name, digest, tmp)
	if err != nil {
		return app.App{}, err
	}
	err = errors.Join(tmp.Sync(), tmp.Close()) // Windows renames no open file
	if err == nil {
		err = os.Rename(tmp.Name(), m.path(digest))
	}
	if err != nil {
		return app.App{}, fmt.Errorf("module store: %w", err)
	}
	return module, nil
}

// describeModule says what the module in file is.
func describeModule(name, digest string, file *os.File) (app.App, error) {
	info, err := file.Stat()
	if err != nil {
		return app.App{}, fmt.Errorf("module store: %w", err)
	}
	module, err := wasmhost.Inspect(file, info.Size())
	if err != nil {
		return app.App{}, fmt.Errorf("%s: %w", name, err)
	}
	return app.App{Name: name, Digest: digest, Format: app.Module, Manifest: module.Manifest}, nil
}

// checkImageRequest refuses what only a module can have.
func checkImageRequest(req api.RunRequest) error {
	switch l := req.Limits; {
	case req.Call != nil:
		return invalid("only a function of a WebAssembly module can be called, not one of an image")
	case l.CPU != 0 || l.Files != 0 || l.Wall != 0 || l.Output != 0:
		return invalid("limits of time, output and open files are for WebAssembly modules; an image has --memory, --cpus and --pids-limit")
	}
	for _, share := range req.Shares {
		if share.Target == "/" {
			return invalid("mount target /: an absolute path inside the app is needed, not /")
		}
	}
	return nil
}

func copyModule(to io.Writer, source string) (digest string, err error) {
	from, err := os.Open(source)
	if err != nil {
		return "", fmt.Errorf("module: %w", err)
	}
	defer from.Close()
	digest, n, err := digestOf(io.TeeReader(io.LimitReader(from, maxModule+1), to))
	if err != nil {
		return "", fmt.Errorf("module %s: %w", filepath.Base(source), err)
	}
	if n > maxModule {
		return "", fmt.Errorf("module %s is larger than %d MiB", filepath.Base(source), maxModule>>20)
	}
	return digest, nil
}

// digestOf reads r to its end.
func digestOf(r io.Reader) (digest string, n int64, err error) {
	hash := sha256.New()
	n, err = io.Copy(hash, r)
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), n, err
}

func manifestBeside(source string) (*app.Manifest, error) {
	path := source + app.ManifestSuffix
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, app.MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	manifest, err := app.ParseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return manifest, nil
}
