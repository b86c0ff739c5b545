package console

import (
	"embed"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
)

//go:embed templates/*.html
var templates embed.FS

func parsePages() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"ago": ago, "stamp": stamp, "bytes": size, "short": short, "alive": alive, "life": life, "count": count, "appRef": appRef,
		"part": func(f frame, one any) inFrame { return inFrame{f, one} },
	}).ParseFS(templates, "templates/*.html"))
}

// inFrame gives a part of a page what its forms need.
type inFrame struct {
	Frame frame
	One   any
}

// ago is a time in words.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero():
		return "never"
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return then.Local().Format("2 Jan 2006")
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// size is a number of bytes in words.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, units := float64(n), "kMGTPE"
	for f >= unit && units != "" {
		f /= unit
		if f < unit || len(units) == 1 {
			break
		}
		units = units[1:]
	}
	return fmt.Sprintf("%.1f %cB", f, units[0])
}

// short is the beginning of a digest.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// life says in words how long a rule lasts.
func life(g api.Grant) string {
	switch g.Lifetime {
	case "run":
		return "until the app exits"
	case "time":
		return "until " + stamp(g.Expires)
	case "always":
		return "always"
	case "once":
		return "once, until " + stamp(g.Expires)
	}
	return g.Lifetime
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
