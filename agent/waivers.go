package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// waivers are the walls that the user does without, by app. What cannot be
// read waives nothing.
type waivers struct {
	path string

	mu    sync.Mutex
	byApp map[app.ID][]string
}

const waiversFile = "waivers.json"

func openWaivers(dir string) (*waivers, error) {
	w := &waivers{path: filepath.Join(dir, waiversFile), byApp: map[app.ID][]string{}}
	raw, err := os.ReadFile(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, fmt.Errorf("waivers: %w", err)
	}
	var kept map[app.ID][]string
	if json.Unmarshal(raw, &kept) != nil || kept == nil {
		return w, nil
	}
	for id, walls := range kept {
		if sandbox.CheckWaived(walls) == nil {
			w.byApp[id] = walls
		}
	}
	return w, nil
}

func (w *waivers) of(id app.ID) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.byApp[id])
}

// set keeps which walls an app runs without; none takes the app out.
func (w *waivers) set(id app.ID, walls []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := maps.Clone(w.byApp)
	if next[id] = walls; len(walls) == 0 {
		delete(next, id)
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(w.path, raw, 0o600); err != nil {
		return fmt.Errorf("waivers: %w", err)
	}
	w.byApp = next
	return nil
}

// waive adds what the user waived for the app, now or before, to its spec, and
// says which wall is missing all the same: before the app is asked about, so
// that nothing is answered for an app that cannot start.
func (a *Agent) waive(ctx context.Context, rec *record) error {
	id, said := rec.App.ID(), rec.Request.Waive
	all := append(a.waivers.of(id), said...)
	slices.Sort(all)
	rec.Spec.Waived = slices.Compact(all)
	if rec.Spec.Image == nil {
		rec.Spec.Waived = nil
		return nil
	}
	if missing := a.missing(ctx, rec.Spec.Waived); len(missing) > 0 {
		return wallError(missing)
	}
	if len(said) == 0 {
		return nil
	}
	return a.waivers.set(id, rec.Spec.Waived)
}

// missing are the walls that can be waived, were not, and cannot stand here.
func (a *Agent) missing(ctx context.Context, waived []string) []sandbox.Wall {
	s, ok := a.cfg.Image.(sandbox.Surveyor)
	if !ok {
		return nil
	}
	p := sandbox.Posture{Walls: s.Survey(ctx)}
	p.Waive(waived)
	return slices.DeleteFunc(p.Walls, func(w sandbox.Wall) bool {
		return !w.Required || w.Stands || w.Waived || w.Waiver == ""
	})
}

func wallError(missing []sandbox.Wall) error {
	err := &api.Error{Code: api.CodeWall, Status: statusConflict}
	var texts, flags []string
	for _, w := range missing {
		texts = append(texts, w.Name+": "+w.Detail)
		flags = append(flags, "--waive "+w.Waiver)
		err.Waive = append(err.Waive, w.Waiver)
	}
	err.Message = "this machine cannot raise a wall that apps must have: " + strings.Join(texts, "; ")
	err.Hint = "to run this app without it, now and later: consentry run " + strings.Join(flags, " ") + " …"
	return err
}

func (w *waivers) list() []api.Waiver {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []api.Waiver{}
	for _, id := range slices.Sorted(maps.Keys(w.byApp)) {
		list = append(list, api.Waiver{AppID: string(id), Walls: w.byApp[id]})
	}
	return list
}

func (a *Agent) listWaivers(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, a.waivers.list())
}

// unwaive takes back what was waived for an app: its next start wants every wall.
func (a *Agent) unwaive(w http.ResponseWriter, r *http.Request) error {
	id := app.ID(r.URL.Query().Get("app"))
	if len(a.waivers.of(id)) == 0 {
		return &api.Error{Code: "not-found", Message: "nothing is waived for " + string(id), Status: statusNotFound, Hint: "see them with: consentry waivers"}
	}
	if err := a.waivers.set(id, nil); err != nil {
		return err
	}
	return errors.Join(a.engine.Note(consent.Event{Event: "unwaive", Kind: "wall", Target: string(id), By: "cli"}), ok(w, struct{}{}))
}
