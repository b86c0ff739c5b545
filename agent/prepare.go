package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/sandbox"
)

// prepare fetches what a request names and works out what would run. It starts
// nothing, and keeps nothing but the image.
func (a *Agent) prepare(ctx context.Context, req api.RunRequest, progress func(api.Progress)) (*record, error) {
	if err := checkRequest(&req); err != nil {
		return nil, err
	}
	format, err := formatOf(req.Source)
	if err != nil {
		return nil, err
	}
	rec := &record{Request: req}
	rec.ID, rec.Name, rec.Source, rec.Format = newID(), req.Name, req.Source, format
	rec.State, rec.Created = api.Created, a.cfg.Now()
	rec.Spec = sandbox.Spec{ID: rec.ID, Limits: req.Limits}
	if err := a.prepareApp(ctx, rec, progress); err != nil {
		return rec, err
	}
	if rec.Spec.Mounts, err = a.mounts(rec.Request); err != nil {
		return rec, err
	}
	if rec.Places, err = a.places(rec); err != nil {
		return rec, err
	}
	if err := checkNames(append(givenAtStart(rec.Spec), rec.Places...)); err != nil {
		return rec, err
	}
	rec.Spec.Asks = asksOf(rec.Places)
	rec.Digest, rec.Command = rec.App.Digest, rec.Spec.Process.Args
	rec.Spec.Process.Terminal, rec.Spec.Process.Size = req.Terminal, req.Size
	if req.Terminal {
		rec.Spec.Process.Env = withDefault(rec.Spec.Process.Env, "TERM", "xterm-256color")
	}
	return rec, nil
}

// prepareApp finds out whether the source is an image or a module: only the
// registry knows what a reference names.
func (a *Agent) prepareApp(ctx context.Context, rec *record, progress func(api.Progress)) error {
	if rec.Format == formatModule {
		if rec.Request.Verify != "" {
			return invalid("signatures are looked for in registries; %s is a file", rec.Source)
		}
		module, err := a.held(rec.ID, func() (app.App, error) { return a.modules.add(rec.Source) })
		if err != nil {
			return err
		}
		return a.prepareModule(rec, module, progress)
	}
	stored, err := a.storedModule(pullRequest(rec.Request))
	if err != nil {
		return err
	}
	if stored != nil && a.holdModule(rec.ID, stored.Digest) {
		return a.prepareModule(rec, *stored, progress)
	}
	if err := a.prepareImage(ctx, rec, progress); !errors.Is(err, oci.ErrModule) {
		return err
	}
	pulled, err := a.held(rec.ID, func() (app.App, error) { return a.pullModule(ctx, pullRequest(rec.Request), progress) })
	if err != nil {
		return err
	}
	return a.prepareModule(rec, pulled, progress)
}

func pullRequest(req api.RunRequest) api.PullRequest {
	return api.PullRequest{Source: req.Source, Platform: req.Platform, Pull: req.Pull, Verify: req.Verify}
}

// prepareModule runs a module of the store: what was looked at is what runs.
func (a *Agent) prepareModule(rec *record, module app.App, progress func(api.Progress)) error {
	rec.Format = formatModule
	if len(rec.Request.Ports) > 0 {
		return errNoCard
	}
	if err := checkModuleLimits(rec.Request.Limits); err != nil {
		return err
	}
	if len(rec.Request.Waive) > 0 {
		return invalid("a WebAssembly module runs behind all of its walls; there is none to waive")
	}
	if rec.Request.Isolation == isolationVM {
		return invalid("a WebAssembly module runs in its own worker process, in no microVM")
	}
	rec.App = module
	cache, err := a.modules.cacheOf(module.Digest)
	if err != nil {
		return err
	}
	if size, slow := a.modules.slowToCompile(module.Digest, cache); slow {
		progress(api.Progress{Phase: "installing", Item: fmt.Sprintf("%s (%.1f MiB)", module.Name, float64(size)/(1<<20))})
	}
	rec.Spec.Module = &sandbox.Module{Path: a.modules.path(module.Digest), Digest: module.Digest, Cache: cache, Call: rec.Request.Call}
	rec.Spec.Process.Args = append([]string{module.Name}, rec.Request.Args...)
	rec.Spec.Process.Env = rec.Request.Env
	return nil
}

func (a *Agent) prepareImage(ctx context.Context, rec *record, progress func(api.Progress)) error {
	req := rec.Request
	img, err := a.pullFor(ctx, rec.ID, pullRequest(req), progress)
	if err != nil {
		return err
	}
	if err := checkImageRequest(req); err != nil {
		return err
	}
	process, err := img.Process(oci.Overrides{
		Args: req.Args, Env: req.Env, User: req.User, WorkDir: req.WorkDir,
		Entrypoint: req.Entrypoint, EntrypointSet: req.Entrypoint != nil,
	})
	if err != nil {
		return err
	}
	process.Env = withDefault(process.Env, "CONSENTRY_API", "http://"+worker.DataAPI()[0])
	rec.App = appOf(img)
	rec.Spec.Image = &sandbox.Image{Lower: img.Layers, Arch: img.Arch()}
	if err := a.isolate(ctx, rec); err != nil {
		return err
	}
	rec.Spec.Process = process
	rec.Spec.Stop.Signal = img.StopSignal()
	rec.Check = healthCheck(req, img.Config.Healthcheck)
	rec.Request.Volumes = imageVolumes(rec.ID, req, img.Volumes())
	if req.PublishAll {
		rec.Request.Ports = exposedPorts(req.Ports, img)
		return checkPorts(rec.Request.Ports)
	}
	return nil
}

// pull makes the image present.
func (a *Agent) pull(ctx context.Context, req api.PullRequest, progress func(api.Progress)) (*oci.Image, error) {
	source, err := oci.ParseSource(req.Source)
	if err != nil {
		return nil, err
	}
	options, err := a.pullOptions(source, req, progress)
	if err != nil {
		return nil, err
	}
	img, err := a.images.Pull(ctx, source, options)
	if err == nil {
		err = a.modules.dropName(source.String()) // it names an image now
	}
	if err != nil || options.Verify == nil {
		return img, err
	}
	return img, a.keepKey(source.Repository(), options.Verify)
}

// pullOptions adds what the user has set before to what a request says.
func (a *Agent) pullOptions(source oci.Source, req api.PullRequest, progress func(api.Progress)) (o oci.PullOptions, err error) {
	o = oci.PullOptions{Platform: req.Platform, Policy: req.Pull, Progress: progressOf(progress)}
	if o.Verify, err = a.keyFor(source, req.Verify); err != nil {
		return o, err
	}
	o.Registries, err = oci.LoadRegistries(a.cfg.Registries)
	return o, err
}

func progressOf(say func(api.Progress)) func(oci.Progress) {
	return func(p oci.Progress) {
		say(api.Progress{Phase: p.Phase, Item: p.Item, Done: p.Done, Total: p.Total})
	}
}

// appOf names an image for people and for grants: the repository without a tag
// or digest, or the base name of a path.
func appOf(img *oci.Image) app.App {
	return app.App{
		Name: appName(img.Ref), Digest: img.Digest, Format: app.Image,
		Publisher: img.Publisher, Manifest: img.Manifest,
	}
}

func appName(ref string) string {
	if filepath.IsAbs(ref) {
		return filepath.Base(ref)
	}
	name, _, _ := strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}

// place gives the record the things that depend on its name and slot. The
// caller holds the lock under which both were chosen.
func (r *record) place(dir string) {
	r.Spec.Name, r.Spec.Hostname = r.Name, hostname(r.Name)
	if r.Spec.Image == nil {
		return
	}
	if !r.Request.Ephemeral {
		// In a folder of their own: a microVM is shown that, and nothing beside it.
		r.Spec.Image.Upper = filepath.Join(dir, "layer", "upper")
		r.Spec.Image.Work = filepath.Join(dir, "layer", "work")
	}
	r.Spec.Image.IDBase = idBase(r.Slot)
	r.Spec.Image.Files = map[string]string{
		"/etc/resolv.conf": fmt.Sprintf("nameserver %s\nnameserver %s\n", sandbox.Gateway4, sandbox.Gateway6),
		"/etc/hostname":    r.Spec.Hostname + "\n",
		"/etc/hosts": fmt.Sprintf("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n%s %s\n%s %s\n",
			address(sandbox.AppPrefix4), r.Spec.Hostname, address(sandbox.AppPrefix6), r.Spec.Hostname),
	}
}

// hostname makes a name fit for a host out of a run's name.
func hostname(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return r
	}, name), "-")
}

func withDefault(env []string, key, value string) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") }) {
		return env
	}
	return append(slices.Clone(env), key+"="+value)
}

// Bounds of a request.
const (
	minMemory = 4 << 20 // bytes: less does not start a process
	maxHold   = 24 * time.Hour

	minBandwidth = 1 << 10 // bytes a second
)

// checkRequest refuses what no image could make right.
func checkRequest(req *api.RunRequest) error {
	if req.Name != "" && !nameForm.MatchString(req.Name) {
		return invalid("name %q: use letters a–z, digits, _ . and -, at most 63, a letter or digit first", req.Name)
	}
	for _, kv := range req.Env {
		if key, _, ok := strings.Cut(kv, "="); !ok || key == "" || strings.ContainsRune(kv, 0) {
			return invalid("environment %q is not of the form NAME=VALUE", kv)
		}
	}
	if err := checkPorts(req.Ports); err != nil {
		return err
	}
	if policy, err := parseRestart(req.Restart); err != nil {
		return err
	} else if req.Remove && policy.when != "" {
		return invalid("a run that is removed at its end cannot be restarted; leave --rm or --restart out")
	}
	l := req.Limits
	switch {
	case l.Memory < 0 || l.Memory > 0 && l.Memory < minMemory:
		return invalid("memory limit of %d bytes: at least %d MiB are needed", l.Memory, minMemory>>20)
	case req.Bandwidth < 0 || req.Bandwidth > 0 && req.Bandwidth < minBandwidth:
		return invalid("bandwidth of %d bytes a second: at least %d are needed", req.Bandwidth, minBandwidth)
	case l.CPUs < 0 || l.PIDs < 0 || l.Wall < 0 || l.Output < 0 || l.CPU < 0:
		return invalid("a limit is negative")
	case req.Hold < 0 || req.Hold > maxHold:
		return invalid("hold of %s: between 0 and %s", req.Hold, maxHold)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &api.Error{Code: "invalid", Message: fmt.Sprintf(format, args...), Status: statusBadRequest}
}

// mounts works out the shares and volumes of a request.
func (a *Agent) mounts(req api.RunRequest) ([]sandbox.Mount, error) {
	byTarget := map[string]sandbox.Mount{}
	for _, share := range req.Shares {
		if share.Ask {
			continue // see places
		}
		m, err := a.shareMount(share)
		if err == nil {
			err = addMount(byTarget, m)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, volume := range req.Volumes {
		m, err := a.volumeMount(volume)
		if err == nil {
			err = addMount(byTarget, m)
		}
		if err != nil {
			return nil, err
		}
	}
	// Shorter targets first, so that one below another is mounted after it.
	return slices.SortedFunc(maps.Values(byTarget), func(x, y sandbox.Mount) int {
		return strings.Compare(x.Target, y.Target)
	}), nil
}

func addMount(byTarget map[string]sandbox.Mount, m sandbox.Mount) error {
	if _, twice := byTarget[m.Target]; twice {
		return invalid("two mounts at %s", m.Target)
	}
	byTarget[m.Target] = m
	return nil
}

func cleanTarget(target string) (string, error) {
	if !path.IsAbs(target) || path.Clean(target) != target || target == "/" {
		return "", invalid("mount target %q: an absolute path inside the app is needed, not / and without ..", target)
	}
	return target, nil
}

func (a *Agent) shareMount(share api.Share) (sandbox.Mount, error) {
	source, err := filepath.EvalSymlinks(share.Source)
	if err != nil {
		return sandbox.Mount{}, invalid("share %s: %v", share.Source, err)
	}
	if !filepath.IsAbs(source) {
		return sandbox.Mount{}, invalid("share %s: an absolute path is needed", share.Source)
	}
	info, err := os.Stat(source)
	if err != nil || !info.IsDir() {
		return sandbox.Mount{}, invalid("share %s: not a folder", share.Source)
	}
	if overlaps(source, a.cfg.Data) {
		return sandbox.Mount{}, invalid("share %s: it holds, or lies in, the agent's own data", share.Source)
	}
	target := share.Target
	if target == "" {
		target = sharesDir + filepath.Base(source)
	}
	// Only a module has nothing at / that a folder would hide; prepareImage
	// refuses it for images.
	if target != "/" {
		if target, err = cleanTarget(target); err != nil {
			return sandbox.Mount{}, err
		}
	}
	return sandbox.Mount{Source: source, Target: target, ReadOnly: !share.Write}, nil
}

// overlaps says whether one of two clean absolute paths lies in the other.
func overlaps(x, y string) bool {
	inside := func(in, of string) bool {
		rel, err := filepath.Rel(of, in)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	}
	return inside(x, y) || inside(y, x)
}

func (a *Agent) volumeMount(volume api.VolumeMount) (sandbox.Mount, error) {
	if !nameForm.MatchString(volume.Name) {
		return sandbox.Mount{}, invalid("volume %q: use letters a–z, digits, _ . and -", volume.Name)
	}
	target, err := cleanTarget(volume.Target)
	if err != nil {
		return sandbox.Mount{}, err
	}
	source := filepath.Join(a.cfg.Data, volumesDir, volume.Name)
	return sandbox.Mount{Source: source, Target: target, ReadOnly: volume.ReadOnly, Volume: true}, nil
}

// address is the address of a prefix, for /etc/hosts.
func address(prefix string) string {
	addr, _, _ := strings.Cut(prefix, "/")
	return addr
}
