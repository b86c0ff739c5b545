package linuxhost

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/consentry/consentry/sandbox"
)

// GuestTrees are the files of a Spec as the microVM of its app may see them:
// detached mounts whose files bear the app's own ids, so that the guest maps
// nothing (Guest).
type GuestTrees struct {
	Layers []*os.File // read-only, in the order of the Spec
	// Writable is the folder that holds Upper and Work and nothing else; nil
	// where the app writes to memory.
	Writable *os.File
	Mounts   []*os.File // in the order of the Spec
}

// Close lets go of them; what was moved to a place stays there.
func (t *GuestTrees) Close() {
	closeSet(t.Layers)
	closeSet(t.Mounts)
	closeSet([]*os.File{t.Writable})
}

// OpenGuestTrees opens them. It needs the rights of the host's root, and a
// folder of the user's is given on the same terms as to a native sandbox.
func OpenGuestTrees(spec sandbox.Spec, stateDir string) (t GuestTrees, err error) {
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if err := checkSpec(spec, stateDir); err != nil {
		return t, err
	}
	span, err := spanOf(spec.Image.IDBase)
	if err != nil {
		return t, err
	}
	if !span.own {
		return t, fmt.Errorf("%w: files of a microVM need an agent that runs as root: its app has ids of its own", sandbox.ErrNotSupported)
	}
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: span.id(0), Size: int(span.count)}}
	ids, err := idsFile(all, all)
	if err != nil {
		return t, err
	}
	defer ids.Close()
	for i, path := range spec.Image.Lower {
		tree, err := layerTree(path, ids)
		if err != nil {
			return t, fmt.Errorf("layer %d: %w", i, err)
		}
		t.Layers = append(t.Layers, tree)
	}
	for _, m := range spec.Mounts {
		tree, err := mountTree(m, stateDir, span, spec.Process.User, ids)
		if err != nil {
			return t, err
		}
		t.Mounts = append(t.Mounts, tree)
	}
	if spec.Image.Upper == "" {
		return t, nil
	}
	t.Writable, err = writableTree(spec.Image, span)
	return t, err
}

// writableTree is the one mount that overlayfs wants for both. A guest sees all
// that is in the folder, so nothing else may be. Through it there are no ids but
// the app's: a guest whose kernel was taken over makes no file of the host's root.
func writableTree(image *sandbox.Image, span idSpan) (*os.File, error) {
	parent := filepath.Dir(image.Upper)
	if filepath.Dir(image.Work) != parent {
		return nil, fmt.Errorf("%w: the writable layer of a microVM is one folder with upper and work in it", sandbox.ErrInvalid)
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, fmt.Errorf("writable layer: %w", err)
	}
	for _, e := range entries {
		if path := filepath.Join(parent, e.Name()); path != image.Upper && path != image.Work {
			return nil, fmt.Errorf("%w: %s lies beside the writable layer, where the guest would see it", sandbox.ErrInvalid, path)
		}
	}
	for _, path := range []string{parent, image.Upper, image.Work} {
		if err := os.Lchown(path, span.id(0), span.id(0)); err != nil {
			return nil, fmt.Errorf("writable layer: %w", err)
		}
	}
	last := span.id(span.count - 1)
	own := []syscall.SysProcIDMap{
		{ContainerID: span.id(0), HostID: span.id(0), Size: int(span.count) - 1},
		// What virtiofsd makes as itself, the marks that overlayfs leaves where it
		// moves a file away, belongs to the app's last id, which nobody has.
		{ContainerID: last, HostID: 0, Size: 1},
	}
	ids, err := idsFile(own, own)
	if err != nil {
		return nil, err
	}
	defer ids.Close()
	return treeOf(parent, 0, ids)
}

// AttachTree moves a detached mount to a folder of this mount namespace, and
// closes it.
func AttachTree(tree *os.File, path string) error {
	if err := attachTo(tree, path); err != nil {
		return fmt.Errorf("mount on %s: %w", path, err)
	}
	return nil
}
