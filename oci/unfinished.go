package oci

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	unfinishedDir = "unfinished"
	// keepUnfinished is how long the whole layers of a pull that was cut off
	// wait for the next one.
	keepUnfinished = 7 * 24 * time.Hour
)

// unfinished is a pull from a registry that has not ended well yet: the layers
// that it has whole are not swept.
type unfinished struct {
	Ref    string    `json:"ref"`
	Layers []string  `json:"layers"` // keys that they have or would have
	Since  time.Time `json:"since"`
}

func unfinishedName(digest v1.Hash) string { return unfinishedDir + "/" + digest.Hex + ".json" }

// begin notes a pull before its first layer, for the case that this process is
// killed. It need not outlive the machine, so it is not synced.
func (p *pull) begin(src Source) error {
	if behind(p.origin) == nil {
		return nil
	}
	p.noted = true
	return p.store.writeJSON(unfinishedName(p.digest), unfinished{Ref: src.String(), Layers: p.pinned, Since: p.store.now().UTC()}, false)
}

// forget takes the note back. s.mu is held.
func (p *pull) forget() error {
	if !p.noted {
		return nil
	}
	err := p.store.root.Remove(unfinishedName(p.digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// cutOff tells an end that says nothing against the layers that are whole: the
// network, the registry's mood, the user's Ctrl-C.
func cutOff(err error) bool {
	var network net.Error
	var status *transport.Error
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network) || errors.As(err, &status) || errors.Is(err, io.ErrUnexpectedEOF)
}

// waiting are the layers of unfinished pulls; notes that are old or unreadable
// are removed. s.mu is held, or nobody else has the store yet.
func (s *Store) waiting() (keys []string, err error) {
	entries, err := fs.ReadDir(s.root.FS(), unfinishedDir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := unfinishedDir + "/" + e.Name()
		var u unfinished
		if s.readJSON(name, &u) != nil || s.now().Sub(u.Since) > keepUnfinished {
			err = errors.Join(err, s.root.RemoveAll(name))
			continue
		}
		keys = append(keys, u.Layers...)
	}
	return keys, err
}

// giveUp takes every note back but those of pulls that are under way, whose
// layers are pinned. s.mu is held.
func (s *Store) giveUp() error {
	entries, err := fs.ReadDir(s.root.FS(), unfinishedDir)
	for _, e := range entries {
		err = errors.Join(err, s.root.RemoveAll(unfinishedDir+"/"+e.Name()))
	}
	return err
}
