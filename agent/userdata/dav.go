package userdata

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-vcard"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"
	"github.com/emersion/go-webdav/carddav"

	"github.com/consentry/consentry/data"
)

// davClient speaks to the server of an account, and to no other: a redirect to
// another host would take the password there.
func davClient(a Account, password string) webdav.HTTPClient {
	client := &http.Client{
		Timeout:   readTime,
		Transport: bounded{http.DefaultTransport},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) > 5 || next.URL.Host != before[0].URL.Host || next.URL.Scheme != before[0].URL.Scheme {
				return fmt.Errorf("the server leads to another address, %s: give that one if it is yours", next.URL.Host)
			}
			return nil
		},
	}
	if a.User == "" {
		return client
	}
	return webdav.HTTPClientWithBasicAuth(client, a.User, password)
}

// bounded cuts answers that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxSource}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// fetchCards reads every address book of the account.
func fetchCards(ctx context.Context, a Account, password string) ([]data.Record, error) {
	client := davClient(a, password)
	dav, err := carddav.NewClient(client, a.URL)
	if err != nil {
		return nil, err
	}
	principal, err := dav.FindCurrentUserPrincipal(ctx)
	if err != nil {
		return nil, err
	}
	home, err := dav.FindAddressBookHomeSet(ctx, principal)
	if err != nil {
		return nil, err
	}
	books, err := dav.FindAddressBooks(ctx, home)
	if err != nil {
		return nil, err
	}
	var all []data.Record
	for _, book := range books {
		found, err := dav.QueryAddressBook(ctx, book.Path, &carddav.AddressBookQuery{DataRequest: carddav.AddressDataRequest{AllProp: true},
			PropFilters: []carddav.PropFilter{{Name: vcard.FieldFormattedName}}})
		if err != nil {
			return nil, fmt.Errorf("address book %s: %w", book.Name, err)
		}
		for _, object := range found {
			if all = append(all, cardRecord(object.Card)); len(all) > maxFound {
				return nil, errTooMuch
			}
		}
	}
	return all, nil
}

// fetchEvents reads every calendar of the account in the range.
func fetchEvents(ctx context.Context, a Account, q Query, password string) ([]data.Record, error) {
	client := davClient(a, password)
	dav, err := caldav.NewClient(client, a.URL)
	if err != nil {
		return nil, err
	}
	principal, err := dav.FindCurrentUserPrincipal(ctx)
	if err != nil {
		return nil, err
	}
	home, err := dav.FindCalendarHomeSet(ctx, principal)
	if err != nil {
		return nil, err
	}
	calendars, err := dav.FindCalendars(ctx, home)
	if err != nil {
		return nil, err
	}
	query := &caldav.CalendarQuery{
		CompRequest: caldav.CalendarCompRequest{Name: ical.CompCalendar, AllProps: true, AllComps: true},
		CompFilter:  caldav.CompFilter{Name: ical.CompCalendar, Comps: []caldav.CompFilter{{Name: ical.CompEvent, Start: q.From.UTC().Truncate(time.Second), End: q.To.UTC().Truncate(time.Second)}}},
	}
	left := newEffort()
	var all []data.Record
	for _, calendar := range calendars {
		found, err := dav.QueryCalendar(ctx, calendar.Path, query)
		if err != nil {
			return nil, fmt.Errorf("calendar %s: %w", calendar.Name, err)
		}
		for _, object := range found {
			if all = append(all, eventsOf(object.Data, q, left)...); len(all) > maxFound || left.spent() {
				return nil, errTooMuch
			}
		}
	}
	return all, nil
}
