package review

import "github.com/consentry/consentry/consent"

// Change is how a line differs from what was reviewed before.
type Change string

// The changes. The zero value is a line that needs no answer.
const (
	Kept    Change = ""
	New     Change = "new"
	Wider   Change = "wider"   // it covers a line that was reviewed, and more
	Purpose Change = "purpose" // the same data, for another reason
)

// Item is a line and how it stands to what was reviewed.
type Item struct {
	Line
	Change Change
	Was    string // Wider: the target it had; Purpose: the reason it had
}

// Compare says of each line of a manifest whether the user has to be asked
// about it, given what was reviewed before. A line is kept that one of those
// covers; data is given for a purpose, so another reason is a change there.
func Compare(before, now []Line) []Item {
	items := make([]Item, len(now))
	for i, line := range now {
		items[i] = compare(before, line)
	}
	return items
}

func compare(before []Line, line Line) Item {
	item := Item{Line: line, Change: New}
	for _, old := range before {
		if old.Kind != line.Kind {
			continue
		}
		covered := consent.Covers(line.Kind, old.Target, line.Target)
		switch {
		case covered && (!line.Kind.IsData() || old.Reason == line.Reason):
			return Item{Line: line}
		case covered:
			item.Change, item.Was = Purpose, old.Reason
		case item.Change == New && consent.Covers(line.Kind, line.Target, old.Target):
			item.Change, item.Was = Wider, old.Target
		}
	}
	return item
}

// Open are the items that need an answer, in their order.
func Open(items []Item) []Item {
	var open []Item
	for _, item := range items {
		if item.Change != Kept {
			open = append(open, item)
		}
	}
	return open
}
