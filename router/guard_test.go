package router

import "testing"

func TestRecognise(t *testing.T) {
	for said, want := range map[string]spoken{
		"":                             speaksUnknown,
		"GET":                          speaksUnknown,
		"GET ":                         speaksUnknown,
		"GET /":                        speaksHTTP,
		"OPTIONS * HTTP/1.1":           speaksHTTP,
		"CONNECT host:25 HTTP/1.1":     speaksHTTP,
		"GET htt":                      speaksUnknown,
		"GET HTTP://other.example/ ":   speaksHTTP,
		"GET https://other.example/ ":  speaksHTTP,
		"HELO h":                       speaksUnknown,
		"HELO host.example\r\n":        speaksOther, // SMTP
		"EHLO httpd.example\r\n":       speaksOther,
		"NICK hugo\r\n":                speaksOther, // IRC
		"a001 LOGIN":                   speaksOther, // IMAP
		"SSH-2.0-OpenSSH":              speaksOther,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ /": speaksOther,
		"\x16":                         speaksUnknown,
		"\x16\x03\x01":                 speaksTLS,
		"\x16\x02":                     speaksOther,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n": speaksOther,
	} {
		if got := recognise([]byte(said)); got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
	}
}
