package api

// What has changed, for those who show it:
//
//	GET    /v1/news    NDJSON of News: one line at once, then one after changes

// News says what is worth another look; what it is, other calls tell. The
// first line has all of it. Changes that come close together make one line.
type News struct {
	Requests bool `json:"requests,omitempty"` // a request came, or needs no answer any more
	Rules    bool `json:"rules,omitempty"`
	Runs     bool `json:"runs,omitempty"`
	Reviews  bool `json:"reviews,omitempty"`
}

// Or joins two.
func (n News) Or(m News) News {
	return News{n.Requests || m.Requests, n.Rules || m.Rules, n.Runs || m.Runs, n.Reviews || m.Reviews}
}
