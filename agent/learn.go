package agent

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

// getLearned is by the whole id of the run: it may be removed already.
func (a *Agent) getLearned(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("run")
	lesson, known := a.engine.Learned(id)
	if !known {
		if _, err := a.find(id); err != nil {
			return err
		}
		lesson = consent.Lesson{Run: id} // it asked for nothing
	}
	learned, err := learnedToAPI(lesson)
	if err != nil {
		return err
	}
	return ok(w, learned)
}

func learnedToAPI(l consent.Lesson) (api.Learned, error) {
	learned := api.Learned{Run: l.Run, App: consent.CleanName(l.App.Name), Wishes: []api.Wish{}, Dropped: l.Dropped}
	for _, wish := range l.Wishes {
		learned.Wishes = append(learned.Wishes, api.Wish{
			Kind: string(wish.Kind), Target: wish.Target, Reason: wish.Reason,
			Allowed: wish.Verdict == consent.Allow, Count: wish.Count,
		})
	}
	manifest, err := l.Manifest("")
	if err != nil {
		return learned, invalid("%v", err)
	}
	if learned.Manifest, err = json.Marshal(manifest); err != nil {
		return learned, fmt.Errorf("manifest: %w", err)
	}
	return learned, nil
}
