package tray

import "embed"

//go:generate go run ../tools/trayicons icons

//go:embed icons
var icons embed.FS

// picture is the icon of a mood for a dark or a light panel.
func picture(mood Mood, dark bool, form string) []byte {
	shade := "light"
	if dark {
		shade = "dark"
	}
	raw, err := icons.ReadFile("icons/" + mood.String() + "-" + shade + "." + form)
	if err != nil {
		panic(err) // every mood has one: a test looks
	}
	return raw
}
