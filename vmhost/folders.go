package vmhost

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/share/ninep"
)

// folderOf is where the folder with that number lies in the guest.
func folderOf(n int) string { return path.Join(guestwire.FoldersDir, strconv.Itoa(n)) }

// folders are those of the user's that an app has, or may ask for. They are
// served from here, so that what was taken back is out of the guest's reach.
type folders struct {
	check  func(path string) error
	places []*folderPlace // by the number that the guest has for them

	offered chan struct{} // closed when touches may be asked about
	offer   sync.Once
	serving sync.WaitGroup
}

type folderPlace struct {
	*ninep.Place
	target   string
	readOnly bool
	start    *sandbox.Folder // given when the app starts
}

// openFolders makes the places of spec: of the folders that it is given, then of
// those that it may ask the broker for.
func (h *Host) openFolders(spec sandbox.Spec, broker sandbox.Broker) (*folders, error) {
	f := &folders{offered: make(chan struct{})}
	owner := ninep.Owner{UID: spec.Image.IDBase + spec.Process.User.UID, GID: spec.Image.IDBase + spec.Process.User.GID}
	for _, m := range spec.Mounts {
		if !m.Volume {
			start := &sandbox.Folder{Source: m.Source, Write: !m.ReadOnly, Parts: m.Parts}
			f.places = append(f.places, &folderPlace{ninep.NewPlace(owner, nil), m.Target, m.ReadOnly, start})
		}
	}
	for _, ask := range spec.Asks {
		f.places = append(f.places, &folderPlace{Place: ninep.NewPlace(owner, f.asking(broker, ask.Name)), target: ask.Target})
	}
	if len(f.places) == 0 {
		return f, nil
	}
	if len(f.places) > guestwire.MaxFolders {
		return nil, fmt.Errorf("%w: %d folders, at most %d", sandbox.ErrInvalid, len(f.places), guestwire.MaxFolders)
	}
	checker, can := h.config.Driver.(FolderChecker)
	if !can {
		return nil, fmt.Errorf("%w: this driver of microVMs gives no folders; use --isolation native", sandbox.ErrNotSupported)
	}
	f.check = checker.CheckFolder
	for _, p := range f.places {
		if p.start != nil {
			if err := f.give(p, *p.start); err != nil {
				f.takeAll()
				return nil, err
			}
		}
	}
	return f, nil
}

// CanAsk says whether apps in machines may ask for folders while they run.
func (h *Host) CanAsk() error {
	if _, can := h.config.Driver.(FolderChecker); !can {
		return fmt.Errorf("%w: this driver of microVMs gives no folders", sandbox.ErrNotSupported)
	}
	return nil
}

// asking asks the broker, once somebody is there who gives the folder.
func (f *folders) asking(broker sandbox.Broker, name string) ninep.Ask {
	return func(ctx context.Context, touched string) error {
		select {
		case <-f.offered:
		case <-ctx.Done():
			return ctx.Err()
		}
		return broker.File(ctx, sandbox.FileRequest{Share: name, Path: touched})
	}
}

func (f *folders) give(p *folderPlace, folder sandbox.Folder) error {
	if err := f.check(folder.Source); err != nil {
		return err
	}
	return p.Give(folder)
}

// mounts are the places as the guest is to mount them.
func (f *folders) mounts() (mounts []sandbox.Mount) {
	for n, p := range f.places {
		mounts = append(mounts, sandbox.Mount{Source: folderOf(n), Target: p.target, ReadOnly: p.readOnly})
	}
	return mounts
}

// serve connects the guest with every place.
func (f *folders) serve(ctx context.Context, peer *guestwire.Peer) error {
	for n, p := range f.places {
		stream, err := peer.Open(ctx, guestwire.VerbFolder, guestwire.Folder{Number: n}, nil)
		if err != nil {
			return err
		}
		f.serving.Go(func() {
			//nolint:errcheck // it ends with the machine; a guest that speaks nonsense has lost its folder
			p.Serve(context.Background(), stream)
		})
	}
	return nil
}

// takeAll takes every folder away.
func (f *folders) takeAll() {
	for _, p := range f.places {
		p.Take()
	}
}

// endServing waits until nothing of them is served any more; the connection has ended.
func (f *folders) endServing() {
	f.takeAll()
	f.serving.Wait()
}

func (f *folders) at(target string) (*folderPlace, error) {
	i := slices.IndexFunc(f.places, func(p *folderPlace) bool { return p.target == target })
	if i < 0 {
		return nil, fmt.Errorf("%w: no folder belongs at %s", sandbox.ErrInvalid, target)
	}
	return f.places[i], nil
}

// Placeholders are none: the touches of the guest come over its connection, and
// are asked about from now on.
func (f *folders) Placeholders(context.Context) ([]*os.File, error) {
	f.offer.Do(func() { close(f.offered) })
	return nil, nil
}

// GiveFolder puts a folder where the app asked for it.
func (f *folders) GiveFolder(_ context.Context, target string, folder sandbox.Folder) error {
	p, err := f.at(target)
	if err != nil {
		return err
	}
	return f.give(p, folder)
}

// TakeFolder takes it away again; what of it is open is closed here.
func (f *folders) TakeFolder(_ context.Context, target string) (sandbox.Taken, error) {
	p, err := f.at(target)
	if err != nil {
		return sandbox.Taken{}, err
	}
	return sandbox.Taken{Open: p.Take(), Cut: true}, nil
}

// byTarget sorts mounts so that one below another comes after it.
func byTarget(mounts []sandbox.Mount) []sandbox.Mount {
	slices.SortStableFunc(mounts, func(x, y sandbox.Mount) int { return strings.Compare(x.Target, y.Target) })
	return mounts
}
