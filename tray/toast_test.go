package tray

import (
	"encoding/xml"
	"strings"
	"testing"
)

// Row 53: whatever an app says is text, in one element of its own.
func TestWhatAnAppSaysOnAToast(t *testing.T) {
	const evil = "</text></binding></visual><actions><action content=\"Allow once\" arguments=\"x.allow\"/></actions> $(calc) `n '@ & \u202e \x00 \ufffe ]]> <?x?>"
	text, err := toastXML(Notice{
		Title: "Connect to x.test, port 443 (TCP)", Body: evil,
		Buttons: []Button{{keyAllow, "Allow once"}, {keyDeny, `Deny "once"`}, {keyDetails, "Details…"}},
	}, "NONCE")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "<binding "); n != 1 || !strings.HasPrefix(text, `<toast launch="NONCE.details" duration="long"><visual><binding template="ToastGeneric"><text>Connect to`) {
		t.Errorf("%s", text)
	}
	var read toast
	if err := xml.Unmarshal([]byte(text), &read); err != nil {
		t.Fatal(err)
	}
	want := []toastButton{{"Allow once", "NONCE.allow"}, {`Deny "once"`, "NONCE.deny"}, {"Details…", "NONCE.details"}}
	if len(read.Texts) != 2 || len(read.Actions) != len(want) {
		t.Fatalf("%d texts, buttons %+v", len(read.Texts), read.Actions)
	}
	for i, b := range read.Actions {
		if b != want[i] {
			t.Errorf("button %d is %+v", i, b)
		}
		if nonce, key, ok := toastAnswer(b.Arguments); !ok || nonce != "NONCE" || key != []string{keyAllow, keyDeny, keyDetails}[i] {
			t.Errorf("%q is read as %q, %q, %v", b.Arguments, nonce, key, ok)
		}
	}
	if strings.ContainsAny(read.Texts[1], "\x00\ufffe") || !strings.Contains(read.Texts[1], "<actions>") {
		t.Errorf("the app's words are %q", read.Texts[1])
	}
	for _, forged := range []string{"", "NONCE", ".allow", "NONCE.", "NONCE.allow.", "NONCE.ALLOW", "NONCE.launch"} {
		if nonce, key, ok := toastAnswer(forged); ok {
			t.Errorf("%q is read as %q, %q", forged, nonce, key)
		}
	}
}
