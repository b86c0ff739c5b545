package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"

	"github.com/consentry/consentry/oci/unpack"
)

const (
	disksDir = "disks"
	superEnd = 4096 // bytes from the start to the end of an ext4 superblock
	// An ext4 image is laid out for the largest size it may get: the usual one,
	// and that for images which come near it.
	usualDisk = 16 << 30
	largeDisk = 256 << 30
)

// diskName is the file of the ext4 image of a stack of layers.
func diskName(layers []string) string {
	sum := sha256.Sum256([]byte(strings.Join(layers, "\n")))
	return hex.EncodeToString(sum[:]) + ".ext4"
}

// Disk returns the path of a file with the image's merged tree as an ext4 file
// system, for machines whose host cannot hold Linux files. It is made once for
// each stack of layers, must only be read, and goes with the last image that
// has the stack.
func (s *Store) Disk(ctx context.Context, ref string) (string, error) {
	rec, dirs, err := s.layersOf(ref)
	if err != nil {
		return "", err
	}
	layers, name := rec.Layers, diskName(rec.Layers)
	unlock, err := s.layers.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(s.dir, disksDir, name)
	if _, err := s.root.Lstat(disksDir + "/" + name); err == nil {
		return path, nil
	}
	s.pin(layers)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unpin(layers)
	}()
	if err := s.makeDisk(ctx, name, dirs, rec.Size); err != nil {
		return "", fmt.Errorf("ext4 image of %s: %w", ref, err)
	}
	return path, nil
}

// layersOf finds an image, and the directories of its layers.
func (s *Store) layersOf(ref string) (rec record, dirs []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.records()
	if err != nil {
		return rec, nil, err
	}
	if rec, err = find(all, ref); err != nil {
		return rec, nil, err
	}
	dirs, err = s.stack(rec.Layers)
	return rec, dirs, err
}

func (s *Store) makeDisk(ctx context.Context, name string, dirs []string, size int64) error {
	f, err := os.CreateTemp(filepath.Join(s.dir, tmpDir), "disk-*")
	if err != nil {
		return err
	}
	temp := tmpDir + "/" + filepath.Base(f.Name())
	limit := int64(usualDisk)
	if size > usualDisk/2 {
		limit = largeDisk
	}
	err = writeDisk(ctx, f, dirs, limit)
	if err == nil {
		err = padBitmaps(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(temp, disksDir+"/"+name)
	}
	if err != nil {
		return errors.Join(err, s.root.RemoveAll(temp))
	}
	return nil
}

func writeDisk(ctx context.Context, f *os.File, dirs []string, limit int64) error {
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packTree(ctx, w, dirs)
		w.CloseWithError(err)
		packed <- err
	}()
	err := tar2ext4.ConvertTarToExt4(r, f, tar2ext4.MaximumDiskSize(limit))
	r.CloseWithError(io.ErrClosedPipe) // a packer that is left must end
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) {
		return packErr
	}
	return err
}

// padBitmaps sets the bits of inode bitmaps that stand for no inode, which the
// library leaves clear and e2fsck wants set. Its images have blocks of 4 KiB,
// descriptors of 32 bytes in block 1, and no checksums.
func padBitmaps(f *os.File) error {
	super, err := tar2ext4.ReadExt4SuperBlockReadSeeker(io.NewSectionReader(f, 0, superEnd))
	if err != nil {
		return err
	}
	const block, descriptor, bitmapAt = 4096, 32, 4
	ones := bytes.Repeat([]byte{0xff}, block)
	used := int64(super.InodesPerGroup / 8)
	for g := int64(0); g*int64(super.BlocksPerGroup) < int64(super.BlocksCountLow); g++ {
		var at [4]byte
		if _, err := f.ReadAt(at[:], block+g*descriptor+bitmapAt); err != nil {
			return err
		}
		bitmap := int64(binary.LittleEndian.Uint32(at[:])) * block
		if _, err := f.WriteAt(ones[used:], bitmap+used); err != nil {
			return err
		}
	}
	return nil
}

// packTree writes the merged tree of layers as a tar stream.
func packTree(ctx context.Context, w io.Writer, dirs []string) (err error) {
	view, err := unpack.OpenView(dirs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	return view.Pack(ctx, w, ".", unpack.Packing{})
}

// Export writes the image's merged tree to w as a tar stream.
func (s *Store) Export(ctx context.Context, ref string, w io.Writer) error {
	rec, dirs, err := s.layersOf(ref)
	if err != nil {
		return err
	}
	s.pin(rec.Layers)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unpin(rec.Layers)
	}()
	return packTree(ctx, w, dirs)
}
