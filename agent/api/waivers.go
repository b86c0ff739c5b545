package api

// Waiver is an app that runs without walls: GET /v1/waivers lists them. DELETE
// /v1/waivers?app=ID takes one back, from the next start on.
type Waiver struct {
	AppID string   `json:"appId"`
	Walls []string `json:"walls"`
}
