package userdata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// vault is a Vault in memory.
type vault map[string][]byte

func (v vault) Get(name string) ([]byte, error) { return v[name], nil }

func (v vault) Set(name string, value []byte) error {
	if len(value) == 0 {
		delete(v, name)
		return nil
	}
	v[name] = value
	return nil
}

func open(t *testing.T, v Vault) *Service {
	t.Helper()
	s, err := Open(Config{Dir: t.TempDir(), Vault: v, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const grace = `BEGIN:VCARD
VERSION:4.0
UID:urn:uuid:grace
FN:Grace Hopper
EMAIL;PREF=2:old@example.org
EMAIL;PREF=1:grace@example.org
TEL:tel:+12025550101
ORG:Navy;Computing
ADR:;;1 Harbor Road;Arlington;VA;22201;USA
BDAY:19061209
NOTE:likes clocks
END:VCARD
`

const alan = `BEGIN:VCARD
VERSION:3.0
N:Turing;Alan;;;
FN:Alan Turing
EMAIL:alan@example.org
END:VCARD
`

// day is the n-th of December 2026, in the morning.
func day(n int) time.Time { return time.Date(2026, 12, n, 9, 0, 0, 0, time.UTC) }

func event(uid, more string) string {
	return "BEGIN:VEVENT\nUID:" + uid + "\nDTSTAMP:20261101T000000Z\n" + more + "\nEND:VEVENT\n"
}

func calendar(events ...string) string {
	text := "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n" + strings.Join(events, "") + "END:VCALENDAR\n"
	return strings.ReplaceAll(text, "\n", "\r\n")
}

func ask(kind string, fields ...string) sandbox.DataRequest {
	req := sandbox.DataRequest{Kind: kind, Fields: fields, Purpose: "x"}
	if kind == data.Calendar {
		req.From, req.To = day(1), day(15)
	}
	return req
}

// all grants every field as it is.
func all(req sandbox.DataRequest) data.Granted {
	granted := data.Granted{}
	for _, field := range req.Fields {
		granted[field] = data.Shape{}
	}
	return granted
}

func column(records []map[string]any, field string) string {
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprint(r[field]))
	}
	slices.Sort(list)
	return strings.Join(list, " | ")
}

func (s *Service) answer(t *testing.T, req sandbox.DataRequest, granted data.Granted) sandbox.DataReply {
	t.Helper()
	reply, err := s.Answer(t.Context(), "app", req, granted)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContactsOfFiles(t *testing.T) {
	s, dir := open(t, vault{}), t.TempDir()
	write(t, filepath.Join(dir, "one.vcf"), grace)
	write(t, filepath.Join(dir, "TWO.VCF"), alan)
	write(t, filepath.Join(dir, "notes.txt"), "no card")
	if n, err := s.Accounts.Add(t.Context(), Account{Name: "people", Kind: data.Contacts, Path: dir}, ""); err != nil || n != 2 {
		t.Fatalf("%d contacts, %v", n, err)
	}
	req := ask(data.Contacts, "name", "email", "phone", "organization", "address", "birthday", "note")
	reply := s.answer(t, req, all(req))
	if got := column(reply.Records, "name"); got != "Alan Turing | Grace Hopper" {
		t.Errorf("names: %s", got)
	}
	want := map[string]any{
		"name": "Grace Hopper", "email": "grace@example.org", "phone": "+12025550101", "organization": "Navy, Computing",
		"address": "1 Harbor Road, 22201 Arlington, VA, USA", "birthday": "1906-12-09", "note": "likes clocks",
	}
	for _, r := range reply.Records {
		if r["name"] == "Grace Hopper" && fmt.Sprint(r) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", r, want)
		}
	}
	only := all(req)
	for field := range only {
		only[field] = data.Shape{Only: []string{"ALAN@example.org"}}
	}
	if got := column(s.answer(t, req, only).Records, "name"); got != "Alan Turing" {
		t.Errorf("one chosen: %s", got)
	}
	if err := s.Accounts.Remove("people"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Answer(t.Context(), "app", req, all(req)); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("without an account: %v", err)
	}
}

func TestAnAccountThatCannotWorkIsNotKept(t *testing.T) {
	s := open(t, vault{})
	bad := write(t, filepath.Join(t.TempDir(), "bad.vcf"), "BEGIN:VCARD\nnonsense")
	for _, a := range []Account{
		{Name: "gone", Kind: data.Contacts, Path: "/nowhere/at/all"},
		{Name: "bad", Kind: data.Contacts, Path: bad},
		{Name: "panics", Kind: data.Calendar, Path: write(t, filepath.Join(t.TempDir(), "p.ics"), "0;0=")},
		{Name: "relative", Kind: data.Contacts, Path: "contacts.vcf"},
		{Name: "Upper Case", Kind: data.Contacts, Path: bad},
		{Name: "kind", Kind: "dna", Path: bad},
		{Name: "both", Kind: data.Contacts, Path: bad, URL: "https://dav.example.org/"},
		{Name: "plain", Kind: data.Contacts, URL: "http://dav.example.org/"},
		{Name: "password", Kind: data.Contacts, URL: "https://ada:secret@dav.example.org/"},
	} {
		if _, err := s.Accounts.Add(t.Context(), a, ""); err == nil {
			t.Errorf("%+v was taken", a)
		}
	}
	if got := s.Accounts.List(); len(got) != 0 {
		t.Errorf("kept: %+v", got)
	}
}

func TestEventsOfFiles(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "c.ics"), calendar(
		event("once", "SUMMARY:Once\nDTSTART:20261203T090000Z\nDTEND:20261203T100000Z\nLOCATION:Here\nORGANIZER:mailto:ada@example.org"),
		event("past", "SUMMARY:Past\nDTSTART:20251203T090000Z\nDTEND:20251203T100000Z"),
		event("weekly", "SUMMARY:Weekly\nDTSTART:20261101T120000Z\nDURATION:PT30M\nRRULE:FREQ=WEEKLY\nEXDATE:20261213T120000Z"),
		event("weekly", "SUMMARY:Moved\nRECURRENCE-ID:20261206T120000Z\nDTSTART:20261207T150000Z\nDTEND:20261207T160000Z"),
		event("day", "SUMMARY:Holiday\nDTSTART;VALUE=DATE:20261208\nTRANSP:TRANSPARENT"),
		event("off", "SUMMARY:Off\nSTATUS:CANCELLED\nDTSTART:20261204T090000Z\nDTEND:20261204T100000Z"),
		event("zone", "SUMMARY:Zone\nDTSTART;TZID=Europe/Vienna:20261210T100000\nDTEND;TZID=Europe/Vienna:20261210T110000"),
		event("odd", "SUMMARY:Odd zone\nDTSTART;TZID=Nowhere Standard Time:20261211T100000\nDTEND;TZID=Nowhere Standard Time:20261211T110000"),
		event("mad", "SUMMARY:Every second\nDTSTART:19700101T000000Z\nDTEND:19700101T000001Z\nRRULE:FREQ=SECONDLY"),
	))
	s := open(t, vault{})
	if _, err := s.Accounts.Add(t.Context(), Account{Name: "c", Kind: data.Calendar, Path: file}, ""); err != nil {
		t.Fatal(err)
	}
	req := ask(data.Calendar, "title", "start", "end", "busy", "place", "organizer")
	reply := s.answer(t, req, all(req))
	if got := column(reply.Records, "title"); got != "Holiday | Moved | Odd zone | Once | Zone" {
		t.Errorf("events: %s", got)
	}
	for _, r := range reply.Records {
		switch r["title"] {
		case "Zone":
			if r["start"] != "2026-12-10T10:00:00+01:00" {
				t.Errorf("%v", r)
			}
		case "Holiday":
			if r["busy"] != false {
				t.Errorf("%v", r)
			}
		case "Once":
			if r["place"] != "Here" || r["organizer"] != "ada@example.org" || r["busy"] != true {
				t.Errorf("%v", r)
			}
		}
	}
	free := ask(data.Calendar, "start", "end", "busy")
	if raw := fmt.Sprint(s.answer(t, free, all(free))); strings.Contains(raw, "Once") || strings.Contains(raw, "Here") {
		t.Errorf("free or busy tells more: %s", raw)
	}
}

// A calendar of rules that never come true costs seconds at most.
func TestRulesThatNeverComeTrue(t *testing.T) {
	var events []string
	for n := range 200 {
		events = append(events, event(fmt.Sprint("never", n), "DTSTART:20261203T090000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"))
	}
	for n := range 100 {
		events = append(events, event(fmt.Sprint("old", n), "DTSTART:19000101T090000Z\nRRULE:FREQ=DAILY"))
	}
	began := time.Now()
	_, err := readEvents([]byte(calendar(events...)), Query{From: day(1), To: day(15)})
	if took := time.Since(began); took > 6*stepTime {
		t.Errorf("it took %s", took)
	}
	if !errors.Is(err, errTooMuch) {
		t.Errorf("error %v", err)
	}
}

// radicale is a real CardDAV and CalDAV server with one user.
func radicale(t *testing.T) (url string) {
	t.Helper()
	program, err := exec.LookPath("radicale")
	if err != nil {
		t.Skip("needs radicale: run make deps")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	users := write(t, filepath.Join(dir, "users"), "ada:secret\n")
	config := write(t, filepath.Join(dir, "config"), fmt.Sprintf(`[server]
hosts = %s
[auth]
type = htpasswd
htpasswd_filename = %s
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = %s/collections
[logging]
level = warning
`, address, users, dir))
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, "--config", config)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		cmd.Wait()
	})
	for range 500 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return "http://" + address
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("radicale does not listen")
	return ""
}

// put stores something on the server as ada.
func put(t *testing.T, method, url, kind, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("ada", "secret")
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}

const collection = `<?xml version="1.0"?><create xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CR="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype><collection/>%s</resourcetype></prop></set></create>`

func TestAccountsOfARealServer(t *testing.T) {
	url := radicale(t)
	put(t, "MKCOL", url+"/ada/book/", "application/xml", strings.ReplaceAll(fmt.Sprintf(collection, "<CR:addressbook/>"), "create", "mkcol"))
	put(t, "MKCOL", url+"/ada/cal/", "application/xml", strings.ReplaceAll(fmt.Sprintf(collection, "<C:calendar/>"), "create", "mkcol"))
	put(t, "PUT", url+"/ada/book/grace.vcf", "text/vcard", strings.ReplaceAll(grace, "\n", "\r\n"))
	put(t, "PUT", url+"/ada/cal/once.ics", "text/calendar", calendar(event("once", "SUMMARY:Once\nDTSTART:20261203T090000Z\nDTEND:20261203T100000Z")))
	put(t, "PUT", url+"/ada/cal/weekly.ics", "text/calendar", calendar(event("weekly", "SUMMARY:Weekly\nDTSTART:20261101T120000Z\nDURATION:PT30M\nRRULE:FREQ=WEEKLY")))
	put(t, "PUT", url+"/ada/cal/later.ics", "text/calendar", calendar(event("later", "SUMMARY:Later\nDTSTART:20270103T090000Z\nDTEND:20270103T100000Z")))
	v := vault{}
	s := open(t, v)
	for _, kind := range []string{data.Contacts, data.Calendar} {
		if _, err := s.Accounts.Add(t.Context(), Account{Name: kind, Kind: kind, URL: url, User: "ada"}, "wrong"); err == nil {
			t.Fatalf("%s: a wrong password was taken", kind)
		}
		if _, err := s.Accounts.Add(t.Context(), Account{Name: kind, Kind: kind, URL: url, User: "ada"}, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	people := ask(data.Contacts, "name", "email")
	if got := fmt.Sprint(s.answer(t, people, all(people)).Records); got != "[map[email:grace@example.org name:Grace Hopper]]" {
		t.Errorf("contacts: %s", got)
	}
	events := ask(data.Calendar, "title", "start")
	if got := column(s.answer(t, events, all(events)).Records, "title"); got != "Once | Weekly | Weekly" {
		t.Errorf("events: %s", got)
	}
	raw, err := os.ReadFile(s.Accounts.path)
	if err != nil || strings.Contains(string(raw), "secret") {
		t.Errorf("the password is in the file: %s, %v", raw, err)
	}
	if err := s.Accounts.Remove(data.Contacts); err != nil || len(v) != 1 {
		t.Errorf("%v; the vault has %d", err, len(v))
	}
}

func TestTheProfile(t *testing.T) {
	s := open(t, vault{})
	s.Profile.system = func() map[string]string {
		return map[string]string{"locale": "de-AT", "timezone": "Europe/Vienna"}
	}
	if err := s.Profile.Set(map[string]string{"email": "ada@example.org", "shoe": "38"}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Fatalf("unknown field: %v", err)
	}
	if len(s.Profile.Values()) != 0 {
		t.Fatal("a refused change was half done")
	}
	if err := s.Profile.Set(map[string]string{"email": "ada@example.org, ada@work.example", "locale": "en-GB"}); err != nil {
		t.Fatal(err)
	}
	req := ask(data.Identity, "email", "name", "locale", "timezone")
	reply := s.answer(t, req, all(req))
	if got := fmt.Sprint(reply.Values, reply.Withheld); got != "map[email:ada@example.org locale:en-GB timezone:Europe/Vienna] [name]" {
		t.Error(got)
	}
	if got := s.Profile.Emails(); !slices.Equal(got, []string{"ada@example.org", "ada@work.example"}) {
		t.Error(got)
	}
}

func TestPickedFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	secret := write(t, filepath.Join(dir, "secret"), "of another")
	path := write(t, filepath.Join(dir, "in", "a.txt"), "0123456789")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got, err := Pick(link); err != nil || got != path {
		t.Errorf("a link is picked as what it leads to: %s, %v", got, err)
	}
	if _, err := Pick(dir); err == nil {
		t.Error("a folder was picked")
	}
	got, err := ReadPicked(path, sandbox.FilePiece{Offset: 4, Length: 3})
	if err != nil || string(got.Data) != "456" || got.Size != 10 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ReadPicked(path, sandbox.FilePiece{Offset: 20, Length: 3}); err != nil || len(got.Data) != 0 {
		t.Errorf("after the end: %+v, %v", got, err)
	}
	for _, p := range []sandbox.FilePiece{{Offset: -1, Length: 1}, {Length: -1}, {Length: sandbox.MaxPiece + 1}} {
		if _, err := ReadPicked(path, p); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	// Who can write there puts a link in its place, or in that of its folder.
	if err := errors.Join(os.Remove(path), os.Symlink(secret, path)); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadPicked(path, sandbox.FilePiece{Length: 3}); err == nil {
		t.Errorf("through a link: %s", got.Data)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "in")), os.Mkdir(filepath.Join(dir, "out"), 0o700)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "out", "a.txt"), "of another")
	if err := os.Symlink(filepath.Join(dir, "out"), filepath.Join(dir, "in")); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadPicked(path, sandbox.FilePiece{Length: 3}); err == nil {
		t.Errorf("through a folder: %s", got.Data)
	}
}

func TestSecrets(t *testing.T) {
	v := vault{}
	s := open(t, v)
	for _, bad := range []Secret{{Name: ""}, {Name: "a/b"}, {Name: "x", Origins: []string{"http://api.example.org"}}, {Name: "x", Origins: []string{"https://api.example.org/path"}}} {
		if err := s.Secrets.Set(bad, "v"); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := s.Secrets.Set(Secret{Name: "bound", Origins: []string{"https://api.example.org"}}, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Secrets.Set(Secret{Name: "given"}, "v2"); err != nil {
		t.Fatal(err)
	}
	if reply, err := s.Secrets.use("bound"); err != nil || fmt.Sprint(reply.Values) != "map[handle:]" {
		t.Errorf("%+v, %v", reply, err)
	}
	if reply, err := s.Secrets.use("given"); err != nil || reply.Values["value"] != "v2" {
		t.Errorf("%+v, %v", reply, err)
	}
	if value, err := s.Secrets.For("bound", "https://api.example.org"); err != nil || value != "v1" {
		t.Errorf("%q, %v", value, err)
	}
	for _, origin := range []string{"https://evil.example", "http://api.example.org", "https://api.example.org:8443", ""} {
		if value, err := s.Secrets.For("bound", origin); err == nil {
			t.Errorf("for %s: %q", origin, value)
		}
	}
	if _, err := s.Secrets.For("given", "https://api.example.org"); err == nil {
		t.Error("one without origins was revealed for one")
	}
	for _, name := range []string{"bound", "given"} {
		if err := s.Secrets.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Secrets.use("bound"); !errors.Is(err, sandbox.ErrDenied) || len(v) != 0 {
		t.Errorf("after its removal: %v, %d in the vault", err, len(v))
	}
}

func FuzzCards(f *testing.F) {
	f.Add([]byte(grace + alan))
	f.Add([]byte("BEGIN:VCARD\nFN;TYPE=\"a,b\":x\n y\nADR:\nN:\nEND:VCARD"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		records, err := readCards(raw)
		if err == nil {
			for _, r := range records {
				if r.ID == "" {
					t.Fatalf("a record without an id: %+v", r)
				}
			}
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(calendar(event("a", "DTSTART:20261203T090000Z\nRRULE:FREQ=DAILY;COUNT=3"), event("b", "DTSTART;VALUE=DATE:20261203"))))
	f.Add([]byte(calendar(event("a", "DTSTART:20261203T090000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		records, err := readEvents(raw, Query{From: day(1), To: day(15)})
		if err != nil {
			return
		}
		for _, r := range records {
			if r.End.Before(r.Start) || !r.Start.Before(day(15)) {
				t.Fatalf("%+v is not in the range", r)
			}
		}
	})
}
