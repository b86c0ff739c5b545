package agent

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// sharesDir is where folders come inside unless the user says otherwise.
const sharesDir = "/share/"

// userFolders are the folders of a home that a manifest can ask for by name,
// without the user naming them first.
var userFolders = map[string]string{
	"desktop": "Desktop", "documents": "Documents", "downloads": "Downloads",
	"music": "Music", "pictures": "Pictures", "videos": "Videos",
}

// places are where the run may be given folders that it has to ask for: those
// the user offers, as a whole or as the manifest narrows them, and the user's
// own that the manifest names.
func (a *Agent) places(rec *record) ([]placeSpec, error) {
	offers, err := a.offers(rec.Request.Shares)
	if err != nil || rec.Spec.Image == nil {
		return nil, err
	}
	var places []placeSpec
	for _, offer := range offers {
		if wishes := wishesOf(rec.App.Manifest, offer.Name); len(wishes) > 0 {
			places = append(places, narrowed(offer, wishes)...)
		} else {
			places = append(places, offer)
		}
	}
	if a.canAsk(rec) {
		places = append(places, a.ownFolders(rec)...)
	}
	slices.SortFunc(places, func(x, y placeSpec) int { return strings.Compare(x.Target, y.Target) })
	if len(places) > sandbox.MaxAsks {
		return nil, invalid("%d folders to ask for: at most %d", len(places), sandbox.MaxAsks)
	}
	return places, nil
}

// canAsk says whether the host of a run has places for folders.
func (a *Agent) canAsk(rec *record) bool {
	asker, can := a.hostOf(*rec).(sandbox.Asker)
	return can && asker.CanAsk() == nil
}

// offers are the folders that the user lets the app ask for.
func (a *Agent) offers(shares []api.Share) ([]placeSpec, error) {
	var offers []placeSpec
	for _, share := range shares {
		if !share.Ask {
			continue
		}
		m, err := a.shareMount(share)
		if err != nil {
			return nil, err
		}
		offers = append(offers, placeSpec{Name: path.Base(m.Target), Target: m.Target, Source: m.Source, Write: share.Write})
	}
	return offers, nil
}

// wishesOf are the manifest's rights to a share or to parts of it.
func wishesOf(m *app.Manifest, share string) []app.Right {
	if m == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.Rights), func(r app.Right) bool {
		kind := consent.Kind(r.Kind)
		target, err := consent.CanonicalRule(kind, r.Target)
		return err != nil || !isFolder(kind) || target != share && !strings.HasPrefix(target, share+"/")
	})
}

// narrowed are the parts of an offer that a manifest asks for; one within
// another is not a place of its own. A part that is not there is none.
func narrowed(offer placeSpec, wishes []app.Right) []placeSpec {
	write := map[string]bool{}
	for _, right := range wishes {
		kind := consent.Kind(right.Kind)
		name, _ := consent.CanonicalRule(kind, right.Target) //nolint:errcheck // wishesOf has looked
		write[name] = write[name] || kind == consent.FileWrite
	}
	var places []placeSpec
	for name, changes := range write {
		if within := nearestWish(write, name); within != "" {
			continue
		}
		if p, err := offer.part(name, changes); err == nil {
			places = append(places, p)
		}
	}
	return places
}

func nearestWish(wishes map[string]bool, name string) string {
	for outer := path.Dir(name); outer != "."; outer = path.Dir(outer) {
		if _, there := wishes[outer]; there {
			return outer
		}
	}
	return ""
}

// part is the place of one part of an offer, or of the whole. No link leads out.
func (p placeSpec) part(name string, write bool) (placeSpec, error) {
	below := strings.TrimPrefix(strings.TrimPrefix(name, p.Name), "/")
	source, err := filepath.EvalSymlinks(filepath.Join(p.Source, filepath.FromSlash(below)))
	if err != nil {
		return placeSpec{}, err
	}
	info, err := os.Stat(source)
	if err != nil {
		return placeSpec{}, err
	}
	rel, err := filepath.Rel(p.Source, source)
	if err != nil || !filepath.IsLocal(rel) || !info.IsDir() {
		return placeSpec{}, fmt.Errorf("%s is no folder in %s", name, p.Source)
	}
	return placeSpec{Name: name, Target: path.Join(p.Target, below), Source: source, Write: write && p.Write}, nil
}

// ownFolders are the places of the user's own folders that a manifest names and
// that the run was not given or offered another way.
func (a *Agent) ownFolders(rec *record) []placeSpec {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var places []placeSpec
	for name, dir := range userFolders {
		wishes := wishesOf(rec.App.Manifest, name)
		target := sharesDir + name
		taken := func(s api.Share) bool { m, err := a.shareMount(s); return err == nil && path.Base(m.Target) == name }
		if len(wishes) == 0 || slices.ContainsFunc(rec.Request.Shares, taken) {
			continue
		}
		m, err := a.shareMount(api.Share{Source: filepath.Join(home, dir), Target: target})
		if err != nil {
			continue // this user has none
		}
		places = append(places, narrowed(placeSpec{Name: name, Target: target, Source: m.Source, Write: true}, wishes)...)
	}
	return places
}

// asksOf are the places as the host is told of them.
func asksOf(places []placeSpec) []sandbox.Ask {
	var asks []sandbox.Ask
	for _, p := range places {
		asks = append(asks, sandbox.Ask{Name: p.Name, Target: p.Target})
	}
	return asks
}

// givenAtStart are the places of the folders that the user gave the run.
func givenAtStart(spec sandbox.Spec) []placeSpec {
	var places []placeSpec
	for _, m := range spec.Mounts {
		if !m.Volume && spec.Image != nil {
			places = append(places, placeSpec{Name: path.Base(m.Target), Target: m.Target, Source: m.Source, Write: !m.ReadOnly})
		}
	}
	return places
}

// checkNames wants each place to have a name of its own: rules are about names.
func checkNames(places []placeSpec) error {
	targets := map[string]string{}
	for _, p := range places {
		if _, err := consent.CanonicalRule(consent.FileRead, p.Name); err != nil {
			return invalid("folder at %s: %v", p.Target, err)
		}
		if other, twice := targets[p.Name]; twice {
			return invalid("the folders at %s and %s have one name; give one of them another place", other, p.Target)
		}
		targets[p.Name] = p.Target
	}
	return nil
}

// giveShares writes down as rules of the run what the user gave it when it was
// started, so that it is seen with the other grants and can be taken back. A no
// that was said before stands.
func (a *Agent) giveShares(ctx context.Context, rec record) error {
	var rules []consent.Rule
	for _, p := range givenAtStart(rec.Spec) {
		req := consent.Request{App: rec.App, Run: rec.ID, Kind: p.kind(), Target: p.Name}
		if d, found := a.engine.Lookup(req); found && d.Verdict == consent.Deny {
			return &api.Error{
				Code: "denied", Message: fmt.Sprintf("folder %s: a rule denies %s %s to %s", p.Source, p.kind(), p.Name, rec.App.Name), Status: statusConflict,
				Hint: "take it back first: consentry revoke " + d.Rule,
			}
		}
		rules = append(rules, consent.Rule{
			App: rec.App.ID(), AppName: rec.App.Name, Run: rec.ID, Kind: p.kind(), Target: p.Name,
			Verdict: consent.Allow, Lifetime: consent.Run, By: "cli",
		})
	}
	_, err := a.engine.Give(ctx, rules)
	return err
}

// newFolders are those of a run before its sandbox stands.
func (l *live) newFolders(b *broker) *folders {
	f := &folders{engine: l.agent.engine, places: map[string]*place{}, log: l.folderTaken}
	for _, spec := range l.rec.Places {
		f.places[spec.Name] = &place{placeSpec: spec, asked: true}
	}
	for _, spec := range givenAtStart(l.rec.Spec) {
		p := &place{placeSpec: spec}
		req := consent.Request{App: b.app, Run: b.run, Kind: spec.kind(), Target: spec.Name}
		if d, found := f.engine.Lookup(req); found && d.Verdict == consent.Allow {
			p.granted = &grantedTarget{request: req, decision: d}
			p.given = f.plan(p, *p.granted)
		}
		f.places[spec.Name] = p
	}
	return f
}

// partsAtStart are what rules already say about parts of the folders that are
// given at the start.
func (f *folders) partsAtStart(mounts []sandbox.Mount) []sandbox.Mount {
	mounts = slices.Clone(mounts)
	for i, m := range mounts {
		if p := f.places[path.Base(m.Target)]; !m.Volume && p != nil && p.Target == m.Target {
			mounts[i].Parts = p.given.Parts
		}
	}
	return mounts
}

// offerFolders has the worker answer for the places of the run.
func (l *live) offerFolders(ctx context.Context) error {
	giver, can := l.instance.(sandbox.FolderGiver)
	if !can {
		if len(l.rec.Spec.Asks) > 0 {
			return fmt.Errorf("%w: folders that are asked for", sandbox.ErrNotSupported)
		}
		return nil
	}
	l.folders.giver = giver
	if len(l.rec.Spec.Asks) == 0 {
		return nil
	}
	files, err := giver.Placeholders(ctx)
	if err != nil {
		return fmt.Errorf("folders: %w", err)
	}
	if len(files) == 0 {
		return nil
	}
	return l.worker.Placeholders(ctx, asksNames(l.rec.Spec.Asks), ownerOf(l.rec.Spec), files)
}

func asksNames(asks []sandbox.Ask) []string {
	var names []string
	for _, a := range asks {
		names = append(names, a.Name)
	}
	return names
}

// folderTaken writes down what became of the app when a folder was taken back.
func (l *live) folderTaken(p *place, taken sandbox.Taken, err error) {
	detail := fmt.Sprintf("%d files were open, %d processes that had one mapped were ended", taken.Open, taken.Ended)
	switch {
	case err != nil && l.ctx.Err() != nil:
		return // it has ended
	case err != nil:
		detail = err.Error()
		l.because("a folder could not be taken back")
		l.agent.work.Go(func() { l.instance.Stop(context.Background()) }) //nolint:errcheck // Wait tells
	case taken.Paused:
		detail += "; no kernel program cuts open files here, so the app is paused: to be sure, stop it"
		l.paused(detail)
	}
	l.agent.cfg.Log.Info("folder taken back", "run", l.rec.ID, "folder", p.Name, "detail", detail)
	note := l.agent.engine.Note(consent.Event{Event: "detach", App: l.rec.App, Run: l.rec.ID, Kind: string(p.kind()), Target: p.Name, Detail: detail})
	if note != nil {
		l.agent.cfg.Log.Error("ledger", "error", note)
	}
}
