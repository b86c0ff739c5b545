package console

import (
	"bytes"
	"html/template"
	"os"
)

// bootstrap leads a browser in by itself, or by its button.
var bootstrap = template.Must(template.New("bootstrap").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Consentry</title>
<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">
<form method="post" action="{{.Action}}"><input type="hidden" name="token" value="{{.Token}}">
<p><button>Open the console of Consentry</button></form>
<script>document.forms[0].submit()</script>
`))

// writeBootstrap writes a new file that only its owner can read.
func writeBootstrap(path, action, token string) error {
	var page bytes.Buffer
	if err := bootstrap.Execute(&page, struct{ Action, Token string }{action, token}); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(page.Bytes())
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		os.Remove(path) //nolint:errcheck // the first error tells
	}
	return err
}
