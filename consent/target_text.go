package consent

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// canonicalPath: "share/path", clean, never absolute, never upwards.
func canonicalPath(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errors.New("path is not UTF-8")
	}
	text = strings.TrimSuffix(text, "/")
	if text == "" {
		return "", errors.New("path is empty")
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == "" || part == "." || part == ".." {
			return "", errors.New("path is not clean")
		}
	}
	if strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsRune(text, '\\') {
		return "", errors.New("path has a control character or a backslash")
	}
	return text, nil
}

func scopePath(text string) (scope, string, error) {
	return textScope(canonicalPath)(text)
}

// canonicalFields: "email,name": sorted, each once.
func canonicalFields(text string) (string, error) {
	if fieldsAreCanonical(text) {
		return text, nil
	}
	fields, err := splitFields(text)
	if err != nil {
		return "", err
	}
	return strings.Join(fields, ","), nil
}

func fieldsAreCanonical(text string) bool {
	last, n := "", 0
	for text != "" {
		field, rest, more := strings.Cut(text, ",")
		if n++; n > maxFields || field <= last || !isWord(field, 32) || more && rest == "" {
			return false
		}
		last, text = field, rest
	}
	return n > 0
}

func splitFields(text string) ([]string, error) {
	fields := strings.Split(text, ",")
	if len(fields) > maxFields {
		return nil, errors.New("too many fields")
	}
	for i, field := range fields {
		fields[i] = strings.TrimSpace(field)
		if !isWord(fields[i], 32) {
			return nil, errors.New("a field is a word of a-z, 0-9, '-' and '_'")
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields), nil
}

// scopeFields: fields, or "*" for all there are and will be.
func scopeFields(text string) (scope, string, error) {
	if text == "*" {
		return scope{keys: []string{"*"}}, text, nil
	}
	fields, err := splitFields(text)
	if err != nil {
		return scope{}, "", err
	}
	return scope{keys: fields}, strings.Join(fields, ","), nil
}

const maxURL = 2048

// canonicalURL: http or https, canonical host, no user, no default port.
func canonicalURL(text string) (string, error) {
	u, err := webURL(text)
	if err != nil {
		return "", err
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

func webURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, errors.New("URL is too long")
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return nil, errors.New("URL has bytes that are no text")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	defaultPort := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if defaultPort == "" || u.User != nil || u.Opaque != "" {
		return nil, errors.New("only http and https URLs without a user can be opened")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	hostText := strings.TrimSuffix(u.Host, ":"+u.Port())
	w, err := takeNet(lowerHost(hostText + ":" + port))
	if err != nil {
		return nil, err
	}
	u.Host = w.host.String()
	if port != defaultPort {
		u.Host += ":" + port
	}
	return u, nil
}

// scopeURL: one URL, or an origin ("https://example.com") with all its pages.
func scopeURL(text string) (scope, string, error) {
	u, err := webURL(text)
	if err != nil {
		return scope{}, "", err
	}
	text = u.String()
	return scope{keys: []string{text}}, text, nil
}

// originOf is the part of a canonical URL before its path.
func originOf(text string) string {
	start := strings.Index(text, "://") + len("://")
	if i := strings.IndexAny(text[start:], "/?#"); i >= 0 {
		return text[:start+i]
	}
	return text
}

// canonicalNotify: there is one thing to ask for, "*".
func canonicalNotify(text string) (string, error) {
	if text != "" && text != "*" {
		return "", errors.New(`the target of notify is "*"`)
	}
	return "*", nil
}

// canonicalSecret: the name of a secret, never its value.
func canonicalSecret(text string) (string, error) {
	if text == "" || len(text) > 100 {
		return "", errors.New("name of a secret is empty or too long")
	}
	for i := range len(text) {
		c := text[i]
		if !isLowerAlnum(c) && (c < 'A' || c > 'Z') && strings.IndexByte("._-", c) < 0 {
			return "", errors.New("name of a secret has a character other than letters, digits, '.', '_', '-'")
		}
	}
	return text, nil
}
