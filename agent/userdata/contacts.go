package userdata

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-vcard"

	"github.com/consentry/consentry/data"
)

// readCards reads vCards (RFC 6350, and 2426 as old programs write them).
func readCards(raw []byte) (all []data.Record, err error) {
	defer recovered(&err)
	dec := vcard.NewDecoder(bytes.NewReader(raw))
	for {
		card, err := dec.Decode()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("card %d: %w", len(all)+1, err)
		}
		if all = append(all, cardRecord(card)); len(all) > maxFound {
			return nil, errTooMuch
		}
	}
}

func cardRecord(card vcard.Card) data.Record {
	name := strings.TrimSpace(card.PreferredValue(vcard.FieldFormattedName))
	if name == "" {
		if n := card.Name(); n != nil {
			name = strings.TrimSpace(n.GivenName + " " + n.FamilyName)
		}
	}
	r := data.Record{ID: card.Value(vcard.FieldUID), Names: append([]string{name}, card.Values(vcard.FieldEmail)...), Fields: map[string]any{
		"name": name, "email": card.PreferredValue(vcard.FieldEmail),
		"phone":        strings.TrimPrefix(card.PreferredValue(vcard.FieldTelephone), "tel:"),
		"organization": oneLine(card.PreferredValue(vcard.FieldOrganization)), "address": cardAddress(card),
		"birthday": cardDay(card.Value(vcard.FieldBirthday)), "note": card.Value(vcard.FieldNote),
	}}
	if r.ID == "" {
		sum := sha256.Sum256([]byte(name + "\x00" + card.PreferredValue(vcard.FieldEmail)))
		r.ID = hex.EncodeToString(sum[:8])
	}
	return r
}

// oneLine writes a value in parts (RFC 6350, section 3.4) as one text.
func oneLine(value string) string {
	return strings.Join(strings.FieldsFunc(value, func(c rune) bool { return c == ';' }), ", ")
}

func cardAddress(card vcard.Card) string {
	a := card.Address()
	if a == nil {
		return ""
	}
	var parts []string
	for _, part := range []string{a.StreetAddress, strings.TrimSpace(a.PostalCode + " " + a.Locality), a.Region, a.Country} {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// cardDay is empty for a birthday without a year, which is no date.
func cardDay(text string) string {
	for _, form := range []string{"20060102", time.DateOnly} {
		if len(text) >= len(form) {
			if day, err := time.Parse(form, text[:len(form)]); err == nil {
				return day.Format(time.DateOnly)
			}
		}
	}
	return ""
}
