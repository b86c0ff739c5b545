package data

import (
	"slices"
	"strings"
)

// Kind is one kind of data or action.
type Kind struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`            // for people
	Action string  `json:"action"`           // what is done with it
	Fields []Field `json:"fields,omitempty"` // that an app may ask for one by one
	// Many: an answer has records; else it has one value of each field.
	Many bool `json:"many,omitempty"`
	// Needs and Takes are the members of a request beside its type and fields.
	Needs []string `json:"needs,omitempty"`
	Takes []string `json:"takes,omitempty"`
}

// Field is one fact of a kind.
type Field struct {
	Name   string `json:"name"`
	Format Format `json:"format"`
}

// Format is what a field's values are; made-up ones have it too.
type Format string

// The formats of fields.
const (
	Text    Format = "text"
	Name    Format = "name"     // of a person
	Email   Format = "email"    // RFC 5322 addr-spec
	Phone   Format = "phone"    // E.164 or as written
	URL     Format = "url"      // http, https or data
	Address Format = "address"  // of a place, one line
	Day     Format = "date"     // RFC 3339 full-date
	Moment  Format = "time"     // RFC 3339 date-time
	Zone    Format = "timezone" // IANA name
	Locale  Format = "locale"   // BCP 47
	Number  Format = "number"
	Flag    Format = "boolean"
	Handle  Format = "handle" // of a file, for GET /v1/files/HANDLE
)

// The kinds.
const (
	Identity  = "identity"
	Contacts  = "contacts"
	Calendar  = "calendar"
	Files     = "files"
	Clipboard = "clipboard"
	Secret    = "secret"
	Notify    = "notify"
	OpenURL   = "url"
)

// Members of a request that some kinds take.
const (
	memberMax   = "max"
	memberFrom  = "from"
	memberTo    = "to"
	memberName  = "name"
	memberURL   = "url"
	memberTitle = "title"
	memberBody  = "body"
)

var kinds = []Kind{
	{Name: Identity, Title: "who you are", Action: "read", Fields: []Field{
		{"email", Email}, {"name", Name}, {"nickname", Name}, {"avatar", URL}, {"locale", Locale}, {"timezone", Zone},
	}},
	{Name: Contacts, Title: "people you know", Action: "read", Many: true, Takes: []string{memberMax}, Fields: []Field{
		{"name", Name}, {"email", Email}, {"phone", Phone}, {"organization", Text}, {"address", Address}, {"birthday", Day}, {"note", Text},
	}},
	{Name: Calendar, Title: "your calendar", Action: "read", Many: true, Needs: []string{memberFrom, memberTo}, Takes: []string{memberMax}, Fields: []Field{
		{"start", Moment}, {"end", Moment}, {"busy", Flag}, {"title", Text}, {"place", Address}, {"organizer", Email}, {"note", Text},
	}},
	{Name: Files, Title: "files that you pick", Action: "read", Many: true, Takes: []string{memberMax}, Fields: []Field{
		{"content", Handle}, {"name", Text}, {"size", Number}, {"modified", Moment},
	}},
	{Name: Clipboard, Title: "what you copied", Action: "read", Fields: []Field{{"text", Text}}},
	{Name: Secret, Title: "a secret that you keep", Action: "use", Needs: []string{memberName}},
	{Name: Notify, Title: "notifications", Action: "show", Needs: []string{memberTitle}, Takes: []string{memberBody}},
	{Name: OpenURL, Title: "pages in your browser", Action: "open", Needs: []string{memberURL}},
}

// Kinds lists the kinds there are.
func Kinds() []Kind { return kinds }

// KindOf finds a kind by its name.
func KindOf(name string) (Kind, bool) {
	at := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if at < 0 {
		return Kind{}, false
	}
	return kinds[at], true
}

// Field finds a field by its name.
func (k Kind) Field(name string) (Field, bool) {
	at := slices.IndexFunc(k.Fields, func(f Field) bool { return f.Name == name })
	if at < 0 {
		return Field{}, false
	}
	return k.Fields[at], true
}

// FieldNames lists the fields in words.
func (k Kind) FieldNames() string {
	var names []string
	for _, f := range k.Fields {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func (k Kind) takes(member string) bool {
	return slices.Contains(k.Needs, member) || slices.Contains(k.Takes, member)
}

// Optional splits the mark of an optional field ("name?") from its name.
func Optional(field string) (name string, optional bool) {
	return strings.CutSuffix(field, "?")
}

// Names returns the fields without their marks, sorted, each once: the
// canonical target of a data request.
func Names(fields []string) []string {
	names := make([]string, 0, len(fields))
	for _, field := range fields {
		name, _ := Optional(field)
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
