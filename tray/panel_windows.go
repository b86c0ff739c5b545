package tray

import (
	"strings"

	"fyne.io/systray"
)

// label is a title in a menu, where "&" marks the letter of a key.
func label(title string) string { return strings.ReplaceAll(title, "&", "&&") }

func (p *icon) name() {}

func (p *icon) setIcon(mood Mood) { systray.SetIcon(picture(mood, p.dark, "ico")) }
