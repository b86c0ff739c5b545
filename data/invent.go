package data

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Inventor makes up values: the same for the same app, key and record, others
// for another app, so that an app works with them and learns nothing. Its
// addresses and numbers belong to nobody (RFC 2606 names, 555-01xx numbers) and
// its names are put together of syllables.
type Inventor struct {
	Key []byte // secret of the user's, of 32 bytes
	App string // who asks
}

// lot draws numbers from a seed.
type lot struct{ seed [sha256.Size]byte }

func (i Inventor) lot(parts ...string) *lot {
	mac := hmac.New(sha256.New, i.Key)
	for _, part := range append([]string{i.App}, parts...) {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	l := &lot{}
	copy(l.seed[:], mac.Sum(nil))
	return l
}

// below is the next number from 0 to n-1.
func (l *lot) below(n int) int {
	number := binary.BigEndian.Uint32(l.seed[:])
	l.seed = sha256.Sum256(l.seed[:])
	return int(number % uint32(n)) //nolint:gosec // n is a small constant's length
}

func (l *lot) of(list []string) string { return list[l.below(len(list))] }

// person is who a record is made up to be about.
type person struct{ given, family string }

func (i Inventor) person(kind Kind, r Record) person {
	l := i.lot(kind.Name, r.ID, "person")
	return person{l.of(starts) + l.of(ends), l.of(starts) + l.of(middles) + l.of(ends)}
}

func (i Inventor) value(kind Kind, field Field, r Record) any {
	who, l := i.person(kind, r), i.lot(kind.Name, r.ID, field.Name)
	switch field.Format {
	case Name:
		if field.Name == "nickname" {
			return strings.ToLower(who.given)
		}
		return who.given + " " + who.family
	case Email:
		return strings.ToLower(who.given+"."+who.family) + "@" + l.of(mailHosts)
	case Phone:
		return fmt.Sprintf("+120255501%02d", l.below(100))
	case URL:
		return fmt.Sprintf("https://www.example.com/%d.png", l.below(1000))
	case Address:
		return fmt.Sprintf("%d %s Street, %s", 1+l.below(98), l.of(starts)+l.of(ends), l.of(starts)+"ton")
	case Day:
		return time.Date(1950+l.below(55), time.Month(1+l.below(12)), 1+l.below(28), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	case Zone:
		return l.of(zones)
	case Locale:
		return l.of(locales)
	case Number:
		return l.below(10_000)
	case Flag:
		return l.below(4) > 0
	case Moment:
		return i.moment(field, r)
	case Text, Handle:
	}
	return l.of(topics) + " " + l.of(things)
}

// moment follows the record's own times where it has any of ours.
func (i Inventor) moment(field Field, r Record) any {
	at := r.Start
	if field.Name == "end" {
		at = r.End
	}
	if !r.invented { // a real event: another time of the same day
		day := at.UTC().Truncate(24 * time.Hour)
		from, length := i.hours(Calendar, r.ID)
		at = day.Add(from)
		if field.Name == "end" {
			at = at.Add(length)
		}
	}
	return at.UTC().Format(time.RFC3339)
}

func (i Inventor) hours(parts ...string) (from, length time.Duration) {
	l := i.lot(append(parts, "hours")...)
	return time.Duration(8+l.below(10)) * time.Hour, time.Duration(1+l.below(4)) * 30 * time.Minute
}

// records are wholly made up: their number says nothing about the user's.
func (i Inventor) records(kind Kind, req sandbox.DataRequest) []Record {
	var list []Record
	if kind.Name != Calendar {
		for n := range 4 + i.lot(kind.Name, "number").below(9) {
			list = append(list, Record{ID: strconv.Itoa(n), invented: true})
		}
		return list
	}
	for day := req.From.UTC().Truncate(24 * time.Hour); day.Before(req.To); day = day.Add(24 * time.Hour) {
		name := day.Format(time.DateOnly)
		for n := range i.lot(kind.Name, name, "number").below(4) {
			id := name + "/" + strconv.Itoa(n)
			from, length := i.hours(kind.Name, id)
			list = append(list, Record{ID: id, Start: day.Add(from), End: day.Add(from + length), invented: true})
		}
	}
	return list
}

// What made-up values are put together of.
var (
	starts    = []string{"Al", "Bel", "Cor", "Dar", "El", "Fen", "Gal", "Hol", "Il", "Jor", "Kel", "Lor", "Mar", "Nel", "Or", "Pel", "Ros", "Sel", "Tam", "Vel"}
	middles   = []string{"a", "e", "i", "o", "an", "en", "in", "or", "el"}
	ends      = []string{"da", "na", "ric", "win", "ne", "ra", "vik", "mond", "lin", "ta", "mer", "ston", "ven", "by"}
	mailHosts = []string{"example.com", "example.org", "example.net"}
	zones     = []string{"Europe/Lisbon", "Europe/Warsaw", "America/Chicago", "America/Bogota", "Asia/Manila", "Australia/Perth"}
	locales   = []string{"en-GB", "en-US", "de-DE", "fr-FR", "es-ES", "pt-PT"}
	topics    = []string{"Weekly", "Quarterly", "Short", "Open", "First", "Second", "Joint"}
	things    = []string{"review", "planning", "call", "lunch", "workshop", "notes", "check", "visit"}
)
