package consent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consentry/consentry/app"
)

// Bounds of what is learned.
const (
	maxLessons     = 16  // runs whose record is kept; the oldest goes
	maxWishes      = 500 // different things of one run
	maxRights      = 200 // lines of a manifest
	maxReasonBytes = 500
	// sayWhy stands where the app gave no reason; a manifest needs one.
	sayWhy = "say here what the app needs it for"
)

var errTooManyRights = errors.New("the app asks for more than a manifest can list")

// Lesson is what one run with Ask.Learn asked for: each thing once, in the
// order in which it was asked first.
type Lesson struct {
	Run     string
	App     app.App
	Wishes  []Wish
	Dropped int // requests beyond the bound, which are in no wish
}

// Wish is one thing that a run asked for while it was learned from.
type Wish struct {
	Kind    Kind
	Target  string  // canonical
	Reason  string  // the app's words, cleaned; may be ""
	Verdict Verdict // Allow: a rule granted it already
	Count   int
}

// lessons are the records of the last runs, under mu of the engine.
type lessons struct {
	byRun map[string]*lesson
	order []string
}

type lesson struct {
	app     app.App
	wishes  map[wishKey]*Wish
	order   []wishKey
	dropped int
}

type wishKey struct {
	kind   Kind
	target string
}

// note writes a request down and what it met.
func (l *lessons) note(r Request, v Verdict) {
	l.of(r).note(r, v)
}

func (l *lessons) of(r Request) *lesson {
	if found := l.byRun[r.Run]; found != nil {
		return found
	}
	if l.byRun == nil {
		l.byRun = map[string]*lesson{}
	}
	if len(l.order) >= maxLessons {
		delete(l.byRun, l.order[0])
		l.order = slices.Delete(l.order, 0, 1)
	}
	made := &lesson{app: r.App, wishes: map[wishKey]*Wish{}}
	l.byRun[r.Run] = made
	l.order = append(l.order, r.Run)
	return made
}

func (l *lesson) note(r Request, v Verdict) {
	key := wishKey{r.Kind, r.Target}
	w := l.wishes[key]
	if w == nil {
		if len(l.order) >= maxWishes {
			l.dropped++
			return
		}
		w = &Wish{Kind: r.Kind, Target: r.Target}
		l.wishes[key] = w
		l.order = append(l.order, key)
	}
	w.Verdict = v
	w.Reason = cmp.Or(w.Reason, r.Reason)
	w.Count++
}

// Learned returns what a run with Ask.Learn has asked for so far; false if
// nothing. It is kept after the run has ended, for the last 16 runs, and not on
// disk: the ledger has the denials.
func (e *Engine) Learned(run string) (Lesson, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lessons.byRun[run]
	if l == nil {
		return Lesson{}, false
	}
	found := Lesson{Run: run, App: l.app, Dropped: l.dropped}
	for _, key := range l.order {
		found.Wishes = append(found.Wishes, *l.wishes[key])
	}
	return found, true
}

// Manifest is the smallest one under which the run would have been asked
// nothing: each target as it was asked for, without those that another line
// covers, and one line for all fields of a kind of data. It grants nothing.
//
// A run that is learned from sees only the first step of what it is denied: a
// local address behind a name, for example, is asked for after the name was
// granted. Learn again with the first rights granted to see the next step.
func (l Lesson) Manifest(name string) (*app.Manifest, error) {
	m := &app.Manifest{Version: 1, Name: CleanName(cmp.Or(name, l.App.Name)), Rights: l.rights()}
	if len(m.Rights) > maxRights || l.Dropped > 0 {
		return nil, fmt.Errorf("%w: %d different things, %d more requests not counted", errTooManyRights, len(m.Rights), l.Dropped)
	}
	return m, nil
}

func (l Lesson) rights() []app.Right {
	var rights []app.Right
	for _, w := range joinFields(l.Wishes) {
		if coveredByOther(w, l.Wishes) {
			continue
		}
		rights = append(rights, app.Right{
			Kind: string(w.Kind), Target: w.Target, Reason: clipBytes(cmp.Or(w.Reason, sayWhy), maxReasonBytes),
		})
	}
	slices.SortFunc(rights, func(a, b app.Right) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Target, b.Target))
	})
	return rights
}

// joinFields makes one wish of all fields of a kind of data.
func joinFields(wishes []Wish) []Wish {
	var joined []Wish
	data := map[Kind]*Wish{}
	for _, w := range wishes {
		switch first := data[w.Kind]; {
		case !w.Kind.IsData():
			joined = append(joined, w)
		case first == nil:
			data[w.Kind] = &w
		default:
			fields := append(strings.Split(first.Target, ","), strings.Split(w.Target, ",")...)
			slices.Sort(fields)
			first.Target = strings.Join(slices.Compact(fields), ",")
			first.Reason = cmp.Or(first.Reason, w.Reason)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(data)) {
		joined = append(joined, *data[kind])
	}
	return joined
}

// coveredByOther says whether a rule for another wish's target covers w: a
// folder covers what lies below it.
func coveredByOther(w Wish, wishes []Wish) bool {
	if w.Kind != FileRead && w.Kind != FileWrite {
		return false
	}
	for _, other := range wishes {
		if other.Kind == w.Kind && strings.HasPrefix(w.Target, other.Target+"/") {
			return true
		}
	}
	return false
}

// clipBytes cuts text to n bytes at the end of a letter.
func clipBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}
