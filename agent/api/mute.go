package api

// Stop asking:
//
//	POST   /v1/apps/mute     MuteRequest → []Grant: the rule given, or those taken back

// MuteRequest denies an app all that no rule allows, without a question, or
// with Undo asks again.
type MuteRequest struct {
	App  string `json:"app"`
	Undo bool   `json:"undo,omitempty"`
	By   string `json:"by"`
}
