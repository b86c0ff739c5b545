package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// shape is what a JSON value must look like. encoding/json takes names of
// members in any case, keeps the last of two members of one name and ignores
// null; another reader, or a person, may see something else.
type shape struct {
	members  map[string]*shape // of an object
	required []string          // of its members
	elements *shape            // of an array
}

var (
	text          = &shape{} // or a number, or true or false: the types are for encoding/json to check
	manifestShape = &shape{
		required: []string{"version", "rights"},
		members: map[string]*shape{
			"$schema": text, "version": text, "name": text, "exec": text,
			"rights": {elements: &shape{
				required: []string{"kind", "target", "reason"},
				members:  map[string]*shape{"kind": text, "target": text, "reason": text, "without": text},
			}},
			"ports": {elements: &shape{
				required: []string{"port"},
				members:  map[string]*shape{"port": text, "label": text, "http": text},
			}},
		},
	}
)

// check reads one value and nothing after it. Its errors are ManifestErrors.
func (s *shape) check(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	err := s.value(dec)
	if err == nil {
		if _, end := dec.Token(); errors.Is(end, io.EOF) {
			return nil
		}
		err = errors.New("text after the JSON object")
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	offset := dec.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	return &ManifestError{Offset: offset, Err: err}
}

func (s *shape) value(dec *json.Decoder) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	want := json.Token(nil)
	switch {
	case s.members != nil:
		want = json.Delim('{')
	case s.elements != nil:
		want = json.Delim('[')
	}
	_, delimiter := token.(json.Delim)
	switch {
	case token == nil:
		return errors.New("null is no value here")
	case want == nil && delimiter, want != nil && token != want:
		return fmt.Errorf("%v is not what belongs here", token)
	case s.members != nil:
		return s.object(dec)
	case s.elements != nil:
		return s.array(dec)
	}
	return nil
}

func (s *shape) object(dec *json.Decoder) error {
	var seen []string
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		member := s.members[name]
		switch {
		case member == nil:
			return fmt.Errorf("unknown member %.40q", name)
		case slices.Contains(seen, name):
			return fmt.Errorf("member %q stands there twice", name)
		}
		seen = append(seen, name)
		if err := member.value(dec); err != nil {
			return err
		}
	}
	for _, name := range s.required {
		if !slices.Contains(seen, name) {
			return fmt.Errorf("member %q is missing", name)
		}
	}
	_, err := dec.Token()
	return err
}

func (s *shape) array(dec *json.Decoder) error {
	for dec.More() {
		if err := s.elements.value(dec); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// Places has where each value of a manifest begins, in bytes, by its path as in
// ManifestError. The manifest is one that ParseManifest has not refused for its
// shape.
func Places(raw []byte) map[string]int64 {
	places := map[string]int64{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	manifestShape.places(dec, raw, "", places)
	return places
}

func (s *shape) places(dec *json.Decoder, raw []byte, path string, into map[string]int64) {
	at := dec.InputOffset()
	rest := bytes.TrimLeft(raw[at:], " \t\r\n:,")
	into[path] = int64(len(raw) - len(rest))
	if _, err := dec.Token(); err != nil {
		return
	}
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "/" + name
	}
	switch {
	case s.members != nil:
		for dec.More() {
			token, err := dec.Token()
			name, is := token.(string)
			if err != nil || !is || s.members[name] == nil {
				return
			}
			s.members[name].places(dec, raw, join(name), into)
		}
	case s.elements != nil:
		for i := 0; dec.More(); i++ {
			s.elements.places(dec, raw, join(strconv.Itoa(i)), into)
		}
	default:
		return
	}
	dec.Token() //nolint:errcheck // the end of what began
}
