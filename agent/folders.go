package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// folders are those of the host that one run was given, or may ask for. Each
// knows the yes it lives by, and is taken back when that yes is gone.
type folders struct {
	engine *consent.Engine
	log    func(p *place, taken sandbox.Taken, err error)
	places map[string]*place // by what the user is asked about

	giver sandbox.FolderGiver // nil where folders cannot be given or taken back
}

// place is where a folder lies, or may come, inside.
type place struct {
	placeSpec
	asked bool // it has a placeholder: what is taken back can be asked for again

	mu      sync.Mutex // held while it is given or taken back
	granted *grantedTarget
	given   sandbox.Folder
}

// placeSpec is what a run's record keeps of a place.
type placeSpec struct {
	Name   string `json:"name"`   // "docs", "docs/letters": the target of its requests and rules
	Target string `json:"target"` // inside
	Source string `json:"source"` // on the host, links resolved
	Write  bool   `json:"write,omitempty"`
}

// kind is what is asked for.
func (p placeSpec) kind() consent.Kind {
	if p.Write {
		return consent.FileWrite
	}
	return consent.FileRead
}

// touch decides about a folder that the app wants to look into, and gives it.
func (f *folders) touch(ctx context.Context, b *broker, req sandbox.FileRequest) error {
	p := f.places[req.Share]
	if p == nil || !p.asked || f.giver == nil {
		return fmt.Errorf("folder %q: %w: it is not one that this run may ask for", req.Share, sandbox.ErrDenied)
	}
	if !p.there() {
		granted, err := b.decideFolder(ctx, p)
		if err != nil {
			return err
		}
		if err := f.give(ctx, p, granted); err != nil {
			return err
		}
	}
	return p.holds(req.Path)
}

// decideFolder asks to change what is in a folder where that is offered, and is
// content with a rule that lets it be read.
func (b *broker) decideFolder(ctx context.Context, p *place) (grantedTarget, error) {
	granted, err := b.decide(ctx, p.kind(), p.Name, "")
	if err == nil || !p.Write {
		return granted, err
	}
	read := consent.Request{App: b.app, Run: b.run, Kind: consent.FileRead, Target: p.Name}
	if d, found := b.engine.Lookup(read); found && d.Verdict == consent.Allow {
		return grantedTarget{request: read, decision: d}, nil
	}
	return granted, err
}

func (p *place) there() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.granted != nil
}

// give puts the folder in its place, unless somebody did meanwhile, or the yes
// has gone again.
func (f *folders) give(ctx context.Context, p *place, granted grantedTarget) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.granted != nil {
		return nil
	}
	if !stillGranted(f.engine, granted) {
		return fmt.Errorf("folder %s: %w", p.Name, sandbox.ErrDenied)
	}
	folder := f.plan(p, granted)
	if err := f.giver.GiveFolder(ctx, p.Target, folder); err != nil {
		return fmt.Errorf("folder %s: %w", p.Name, err)
	}
	p.granted, p.given = &granted, folder
	f.engine.Used(granted.use(0, 0))
	return nil
}

// holds says whether there is something of that name, one part of a path.
func (p *place) holds(name string) error {
	if name == "." {
		return nil
	}
	dir, err := os.OpenRoot(p.Source)
	if err != nil {
		return fmt.Errorf("folder %s: %w", p.Name, sandbox.ErrUnavailable)
	}
	defer dir.Close()
	if _, err := dir.Lstat(name); errors.Is(err, os.ErrNotExist) {
		return sandbox.ErrNothing
	}
	return nil
}

// takeTime bounds how long the taking back of a folder may take before its run
// is ended; the launcher has less.
const takeTime = 6 * time.Second

// recheck takes the folders back whose yes is gone, or says something else now.
func (f *folders) recheck() {
	if f.giver == nil {
		return
	}
	for _, p := range f.places {
		p.mu.Lock()
		if p.granted != nil && f.changed(p) {
			f.take(p)
		}
		p.mu.Unlock()
	}
}

func (f *folders) changed(p *place) bool {
	if !stillGranted(f.engine, *p.granted) {
		return true
	}
	now := f.plan(p, *p.granted)
	return now.Write != p.given.Write || !slices.Equal(now.Parts, p.given.Parts)
}

// take is called with the place's lock held.
func (f *folders) take(p *place) {
	ctx, cancel := context.WithTimeout(context.Background(), takeTime)
	defer cancel()
	taken, err := f.giver.TakeFolder(ctx, p.Target)
	p.granted = nil
	f.log(p, taken, err)
}

// plan is what the rules give of a folder now: the whole as it was granted, and
// parts below it about which rules say something else.
func (f *folders) plan(p *place, granted grantedTarget) sandbox.Folder {
	write := granted.request.Kind == consent.FileWrite
	plan := sandbox.Folder{Source: p.Source, Write: write}
	look := func(kind consent.Kind, target string) (consent.Verdict, bool) {
		r := granted.request
		r.Kind, r.Target = kind, target
		d, found := f.engine.Lookup(r)
		return d.Verdict, found
	}
	plan.Parts = partsOf(p.placeSpec, write, f.engine.Rules(granted.request.App.ID()), look)
	return plan
}

// partsOf are the parts of a folder whose rights differ from what is around
// them. look says what the rules say about a target.
func partsOf(p placeSpec, write bool, rules []consent.Rule, look func(consent.Kind, string) (consent.Verdict, bool)) []sandbox.Part {
	var below []string
	for _, r := range rules {
		name, is := strings.CutPrefix(r.Target, p.Name+"/")
		if is && isFolder(r.Kind) {
			below = append(below, name)
		}
	}
	slices.Sort(below) // outer ones first
	around := map[string]sandbox.Part{"": {Read: true, Write: write}}
	var parts []sandbox.Part
	for _, name := range slices.Compact(below) {
		outer := around[nearest(around, name)]
		part := rightsAt(p, name, outer, look)
		around[name] = part
		if part.Read != outer.Read || part.Write != outer.Write {
			parts = append(parts, part)
		}
	}
	return parts
}

// nearest is the longest of the known paths that name lies below, "" for none.
func nearest(known map[string]sandbox.Part, name string) string {
	for {
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			return ""
		}
		name = name[:slash]
		if _, there := known[name]; there {
			return name
		}
	}
}

// rightsAt is what rules give of one part; where they say nothing it has what
// is around it. What may not be read may not be written, and a yes to changes
// is one to reading.
func rightsAt(p placeSpec, name string, outer sandbox.Part, look func(consent.Kind, string) (consent.Verdict, bool)) sandbox.Part {
	part := sandbox.Part{Path: name, Read: outer.Read, Write: outer.Write}
	read, saysRead := look(consent.FileRead, p.Name+"/"+name)
	write, saysWrite := look(consent.FileWrite, p.Name+"/"+name)
	if saysWrite {
		part.Write = write == consent.Allow && p.Write
		part.Read = part.Read || part.Write
	}
	if saysRead {
		part.Read = read == consent.Allow
	}
	part.Write = part.Write && part.Read
	return part
}

// tellPaused looks at once what the end of rules means for folders, and says
// with each which run was paused by it.
func (a *Agent) tellPaused(gone []api.Grant) []api.Grant {
	for _, r := range a.list() {
		if _, l := r.snapshot(); l != nil && l.folders != nil {
			l.folders.recheck()
		}
		rec, _ := r.snapshot()
		for i, g := range gone {
			if rec.State == api.Paused && rec.Notice != "" && string(rec.App.ID()) == g.AppID && isFolder(consent.Kind(g.Kind)) {
				gone[i].Notice = rec.Name + " is paused: " + rec.Notice
			}
		}
	}
	return gone
}

func isFolder(kind consent.Kind) bool { return kind == consent.FileRead || kind == consent.FileWrite }
