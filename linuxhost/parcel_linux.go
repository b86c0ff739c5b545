package linuxhost

import (
	"context"
	"fmt"
	"os"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// parcel is all that init builds a sandbox from. The files are its own.
type parcel struct {
	call  setupCall
	files []*os.File
}

// setUp has init build the sandbox of l.spec. limited says that cgroups do
// limit it; ids is init's user namespace.
func (l *launcher) setUp(ctx context.Context, child *initProcess, span idSpan, limited bool, ids *os.File) (setupReply, error) {
	spec := l.spec
	p := parcel{call: setupCall{
		OneID: span.alone(), Hostname: spec.Hostname, Files: spec.Image.Files, Dir: spec.Process.Dir,
		Memory: spec.Limits.Memory, NoSetID: writesOutside(spec),
	}}
	if !limited {
		p.call.MaxProcesses = spec.Limits.PIDs
	}
	defer func() { fdwire.CloseAll(p.files) }()
	err := p.addImage(spec.Image, span, ids)
	for _, m := range spec.Mounts {
		if err == nil {
			err = l.addMount(&p, m, span, ids)
		}
	}
	if err == nil {
		err = l.addAsks(&p, spec.Asks)
	}
	if err != nil {
		return setupReply{}, err
	}
	reply, dirs, err := p.send(ctx, child)
	if err != nil {
		return reply, err
	}
	return reply, l.pinned(spec.Asks, dirs)
}

func (p *parcel) addImage(image *sandbox.Image, span idSpan, ids *os.File) error {
	for i, path := range image.Lower {
		tree, err := layerTree(path, ids)
		if err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		p.files = append(p.files, tree)
	}
	p.call.Layers, p.call.Upper = len(image.Lower), image.Upper != ""
	if !p.call.Upper {
		return nil
	}
	trees, err := upperTrees(image, span.id(0))
	if err != nil {
		return fmt.Errorf("writable layer: %w", err)
	}
	p.files = append(p.files, trees...)
	return nil
}

// addMount adds a share or a volume.
func (l *launcher) addMount(p *parcel, m sandbox.Mount, span idSpan, ids *os.File) error {
	tree, err := mountTree(m, l.state, span, l.spec.Process.User, ids)
	if err != nil {
		return err
	}
	p.files = append(p.files, tree)
	call := mountCall{Target: m.Target}
	if !m.Volume {
		if err := l.keep(m.Target, tree); err != nil {
			return err
		}
	}
	if !m.Volume && len(m.Parts) == 0 && !span.serves(m) {
		if call.Channels, err = channels(m.Source); err != nil {
			return err
		}
	}
	p.call.Mounts = append(p.call.Mounts, call)
	return nil
}

// addAsks adds a placeholder for each place that may be asked for.
func (l *launcher) addAsks(p *parcel, asks []sandbox.Ask) error {
	if len(asks) > sandbox.MaxAsks {
		return fmt.Errorf("%w: %d folders to ask for, more than %d", sandbox.ErrInvalid, len(asks), sandbox.MaxAsks)
	}
	for _, a := range asks {
		stand, err := newPlaceholder()
		if err != nil {
			return err
		}
		tree, err := duplicateFD(stand.tree)
		if err != nil {
			stand.close()
			return err
		}
		p.files = append(p.files, tree)
		p.call.Mounts = append(p.call.Mounts, mountCall{Target: a.Target, Ask: true})
		l.mu.Lock()
		l.spots[a.Target] = &spot{hold: stand.tree, wire: stand.wire}
		l.mu.Unlock()
	}
	return nil
}

// send returns what init answers, and the directories that it pinned.
func (p *parcel) send(ctx context.Context, child *initProcess) (reply setupReply, dirs []*os.File, err error) {
	files := p.files
	for len(files) > fdwire.MaxFiles {
		if _, err := child.peer.Call(ctx, verbFiles, struct{}{}, nil, files[:fdwire.MaxFiles]...); err != nil {
			return reply, nil, err
		}
		files = files[fdwire.MaxFiles:]
	}
	dirs, err = child.peer.Call(ctx, verbSetup, p.call, &reply, files...)
	return reply, dirs, err
}
