//go:build darwin && cgo

package tray

import "fyne.io/systray"

func label(title string) string { return title }

func (p *icon) name() {}

// setIcon: a template image is black on nothing, and painted by the menu bar.
func (p *icon) setIcon(mood Mood) {
	systray.SetTemplateIcon(picture(mood, false, "png"), picture(mood, false, "png"))
}
