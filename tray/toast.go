package tray

import (
	"encoding/xml"
	"strings"
)

// A toast is a notification of Windows: XML that says what stands on it and
// what comes back when it is pressed
// (https://learn.microsoft.com/windows/apps/develop/notifications/app-notifications/toast-schema).
type toast struct {
	XMLName  xml.Name      `xml:"toast"`
	Launch   string        `xml:"launch,attr"` // what a press beside the buttons means
	Duration string        `xml:"duration,attr"`
	Texts    []string      `xml:"visual>binding>text"`
	Actions  []toastButton `xml:"actions>action"`
}

type toastButton struct {
	Content   string `xml:"content,attr"`
	Arguments string `xml:"arguments,attr"`
}

// toastXML writes a notice. What comes back names the notice by its nonce, a
// text that nobody else knows, and nothing of what the app said.
func toastXML(n Notice, nonce string) (string, error) {
	t := toast{Launch: nonce + "." + keyDetails, Duration: "long", Texts: []string{n.Title, n.Body}}
	for _, b := range n.Buttons {
		t.Actions = append(t.Actions, toastButton{b.Label, nonce + "." + b.Key})
	}
	raw, err := xml.Marshal(t)
	// encoding/xml has no way to give an element in a path its attribute.
	return strings.Replace(string(raw), "<binding>", `<binding template="ToastGeneric">`, 1), err
}

// toastAnswer reads what came back.
func toastAnswer(arguments string) (nonce, key string, ok bool) {
	nonce, key, ok = strings.Cut(arguments, ".")
	return nonce, key, ok && nonce != "" && (key == keyAllow || key == keyDeny || key == keyDetails)
}
