package api

// The sources of the user's data:
//
//	GET    /v1/accounts        []Account
//	POST   /v1/accounts        NewAccount → AddedAccount: read once, then kept
//	DELETE /v1/accounts/NAME
//	GET    /v1/secrets         []Secret
//	PUT    /v1/secrets         NewSecret
//	DELETE /v1/secrets/NAME

// Account is where contacts or events come from.
type Account struct {
	Name string `json:"name"`
	Kind string `json:"kind"`           // "contacts", "calendar"
	Path string `json:"path,omitempty"` // absolute: a file or a folder
	URL  string `json:"url,omitempty"`  // CardDAV, CalDAV
	User string `json:"user,omitempty"`
}

// NewAccount is one with its password, which goes to the keychain.
type NewAccount struct {
	Account
	Password string `json:"password,omitempty"`
}

// AddedAccount says how much was found.
type AddedAccount struct {
	Records int `json:"records"` // contacts, or events of the next month
}

// Secret is one that apps may use, without its value. With origins it is put
// into requests to them, and the app does not see it.
type Secret struct {
	Name    string   `json:"name"`
	Origins []string `json:"origins,omitempty"` // "https://api.example.com"
}

// NewSecret is one with its value, which goes to the keychain.
type NewSecret struct {
	Secret
	Value string `json:"value"`
}
