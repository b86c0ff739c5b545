package rulefile

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

//go:embed presets/*.rules
var embedded embed.FS

// Suffix ends the name of a preset's file.
const Suffix = ".rules"

// maxPresets bounds the files of a folder that are looked at.
const maxPresets = 200

// Preset is a file of rules for any app.
type Preset struct {
	Name    string
	About   string // its first comment
	Text    string
	Own     bool // of the user's folder, not one of ours
	Entries []Entry
}

var (
	presetName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)
	// ErrNoPreset is wrapped by errors about a preset that is not there.
	ErrNoPreset = errors.New("no such preset")
)

// Presets are ours and those of a folder of the user's, which win. The folder
// need not exist.
type Presets struct{ Dir string }

// Find returns one preset; "web read-only" is web-read-only too.
func (p Presets) Find(name string) (Preset, error) {
	name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "-")
	if !presetName.MatchString(name) {
		return Preset{}, fmt.Errorf("%w: %.40q", ErrNoPreset, name)
	}
	text, err := p.own(name)
	own := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		text, err = embedded.ReadFile("presets/" + name + Suffix)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Preset{}, fmt.Errorf("%w: %q", ErrNoPreset, name)
	}
	if err != nil {
		return Preset{}, fmt.Errorf("preset %s: %w", name, err)
	}
	preset := Preset{Name: name, About: about(string(text)), Text: string(text), Own: own}
	if preset.Entries, err = Parse(text); err != nil {
		return Preset{}, fmt.Errorf("preset %s: %w", name, err)
	}
	for _, e := range preset.Entries {
		if e.App != "" {
			return Preset{}, fmt.Errorf("preset %s: line %d: a preset is for any app and names none", name, e.Line)
		}
	}
	return preset, nil
}

func (p Presets) own(name string) ([]byte, error) {
	root, err := p.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name + Suffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

func (p Presets) open() (*os.Root, error) {
	if p.Dir == "" {
		return nil, fs.ErrNotExist
	}
	return os.OpenRoot(p.Dir)
}

// Names are those of all presets, sorted, whether they can be read or not.
func (p Presets) Names() ([]string, error) {
	var names []string
	add := func(entries []fs.DirEntry) {
		for _, e := range entries {
			name, is := strings.CutSuffix(e.Name(), Suffix)
			if is && presetName.MatchString(name) {
				names = append(names, name)
			}
		}
	}
	ours, err := embedded.ReadDir("presets")
	if err != nil {
		return nil, err
	}
	add(ours)
	if root, err := p.open(); err == nil {
		defer root.Close()
		own, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			return nil, fmt.Errorf("presets: %w", err)
		}
		add(own[:min(len(own), maxPresets)])
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// about is the comment at the top.
func about(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		comment, is := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !is || strings.TrimSpace(comment) == "" {
			break
		}
		words = append(words, strings.TrimSpace(comment))
	}
	return strings.Join(words, " ")
}
