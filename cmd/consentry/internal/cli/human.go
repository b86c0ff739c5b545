package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// ago is how long something is past, as a person would say it.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	if d := now.Sub(then); d >= 0 {
		return span(d) + " ago"
	}
	return "in " + span(then.Sub(now))
}

// span is a length of time in its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{365 * day, "year"}, {30 * day, "month"}, {7 * day, "week"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / unit.size); n >= 1 {
			return plural(n, unit.name)
		}
	}
	return "less than a second"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// size is a number of bytes in decimal units, as docker prints it.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	v, i := float64(n), 0
	for ; v >= 999.5 && i < len(units)-1; i++ {
		v /= 1000
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + units[i]
}

func shortID(id string) string { return id[:min(12, len(id))] }

// shortDigest is "sha256:" and twelve digits.
func shortDigest(digest string) string {
	algorithm, hex, found := strings.Cut(digest, ":")
	if !found {
		return shortID(digest)
	}
	return algorithm + ":" + shortID(hex)
}

// status is the state of a run as docker's ps has it.
func status(r api.Run, now time.Time) string {
	switch r.State {
	case api.Running:
		up := "Up " + span(now.Sub(r.Started))
		if r.Health != nil {
			up += " (" + plain(r.Health.Status) + ")"
		}
		return up
	case api.Paused:
		return "Up " + span(now.Sub(r.Started)) + " (paused)"
	case api.Exited, api.Restarting:
		code, note := 0, ""
		if r.Exit != nil {
			code = r.Exit.Code
			if r.Exit.OOM {
				note = " (out of memory)"
			}
		}
		if r.State == api.Restarting {
			return fmt.Sprintf("Restarting (%d)%s %s", code, note, ago(now, r.Ended))
		}
		return fmt.Sprintf("Exited (%d)%s %s", code, note, ago(now, r.Ended))
	case api.Failed:
		return "Failed " + ago(now, r.Ended)
	}
	return strings.ToUpper(string(r.State[:1])) + string(r.State[1:])
}

func ports(list []api.PortMapping) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = fmt.Sprintf("localhost:%d->%d", p.Host, p.App)
		if p.UDP() {
			words[i] += "/udp"
		}
	}
	return strings.Join(words, ", ")
}

// lifetime of a rule or a choice.
func lifetime(name string, expires time.Time, now time.Time) string {
	switch name {
	case "run":
		return "until the app exits"
	case "time":
		if expires.After(now) {
			return "for " + span(expires.Sub(now)) + " more"
		}
		return "expired"
	}
	return name
}

// lasts is the lifetime of a rule, and when it ends if nobody uses it.
func lasts(g api.Grant, now time.Time) string {
	text := lifetime(g.Lifetime, g.Expires, now)
	if g.Lapses.After(now) {
		text += " (ends unused in " + span(g.Lapses.Sub(now)) + ")"
	}
	return text
}

func cut(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

// shownKey is how many digits of a key's id people are shown.
const shownKey = 16

// voucher is a publisher as a person reads it.
func voucher(publisher string) string {
	if id, isKey := strings.CutPrefix(publisher, "key:"); isKey {
		return "the holder of key " + id[:min(len(id), shownKey)]
	}
	return publisher
}
