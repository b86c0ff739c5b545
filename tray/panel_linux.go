package tray

import (
	"strings"

	"fyne.io/systray"
)

// label is a title in a D-Bus menu, where "_" marks the letter of a key.
func label(title string) string { return strings.ReplaceAll(title, "_", "__") }

// name says who the icon is of, before the desktop asks.
func (p *icon) name() {
	systray.SetTitle("Consentry")
	p.setIcon(Alert)
}

func (p *icon) setIcon(mood Mood) { systray.SetIcon(picture(mood, p.dark, "png")) }
