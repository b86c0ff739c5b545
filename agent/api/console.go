package api

// The console, a page for the user's browser:
//
//	POST   /v1/console     ConsoleRequest → Console: serves it on loopback, if it is not yet

// ConsoleRequest asks for a way in.
type ConsoleRequest struct {
	// Page is where it leads: "" for the requests, or "apps", "flows", "log", "system",
	// "add", "app?ref=APP", "request?id=ID", "review?id=ID".
	Page string `json:"page,omitempty"`
	// Code asks for one to be typed in place of a file, for browsers that may
	// not read the file.
	Code bool `json:"code,omitempty"`
}

// Console is a way into the console that works once.
type Console struct {
	URL string `json:"url"` // of the console; it alone opens nothing
	// File leads a browser in: an HTML page that only its owner can read. The
	// agent removes it when it was used, or when its time is over.
	File string `json:"file,omitempty"`
	Code string `json:"code,omitempty"`
	// Seconds are how long it works.
	Seconds int `json:"seconds"`
}
