package review

import (
	"errors"
	"fmt"
	"time"

	"github.com/consentry/consentry/consent"
)

// Word is the answer to a line.
type Word string

// The words. Ask leaves the line open: the app is asked about when it comes to it.
const (
	Allow Word = "allow"
	Deny  Word = "deny"
	Ask   Word = "ask"
)

// Answer is what the user said: a word for every line, and others for some.
type Answer struct {
	All   Word
	Lines map[int]Word // by the number of the item, from 1
	// How long the rules last: consent.Always ("" is that too), Run or Timed.
	Lifetime consent.Lifetime
	Run      string        // with Run
	For      time.Duration // with Timed
	By       string        // "terminal", "cli", "tray", …
}

// Remembered says whether lines so answered count as reviewed: not if the
// answer ends with the run.
func (a Answer) Remembered() bool { return a.Lifetime != consent.Run }

var errWord = errors.New("an answer to a line is allow, deny or ask")

// Words are the answers to n items, each of them checked.
func (a Answer) Words(n int) ([]Word, error) {
	words := make([]Word, n)
	for i := range words {
		words[i] = a.All
	}
	for number, word := range a.Lines {
		if number < 1 || number > n {
			return nil, fmt.Errorf("there is no line %d, there are %d", number, n)
		}
		words[number-1] = word
	}
	for i, word := range words {
		if word != Allow && word != Deny && word != Ask {
			return nil, fmt.Errorf("line %d: %w, not %.20q", i+1, errWord, word)
		}
	}
	return words, nil
}

// Rules are what the answer leads to: a yes or a no for every line that is not
// left open. base has the app.
func (a Answer) Rules(items []Item, base consent.Rule, now time.Time) ([]consent.Rule, error) {
	words, err := a.Words(len(items))
	if err != nil {
		return nil, err
	}
	base.Lifetime, base.By = a.Lifetime, "manifest review, "+a.By
	switch a.Lifetime {
	case consent.Run:
		base.Run = a.Run
	case consent.Timed:
		base.Expires = now.Add(a.For)
	}
	var rules []consent.Rule
	for i, item := range items {
		rule := base
		rule.Kind, rule.Target = item.Kind, item.Target
		switch words[i] {
		case Allow:
			rule.Verdict = consent.Allow
		case Ask:
			continue
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// Summary is the answer for the ledger.
func Summary(words []Word) string {
	counts := map[Word]int{}
	for _, word := range words {
		counts[word]++
	}
	return fmt.Sprintf("%d lines: %d allowed, %d denied, %d left open", len(words), counts[Allow], counts[Deny], counts[Ask])
}
