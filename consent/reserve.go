package consent

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// reserveFile takes up room on the disk, so that answers and what is taken back
// can still be written when the disk is full: the file is then removed. While it
// is gone Health denies everything, and lines that nobody waits for stay in
// memory until there is room for the file again.
const reserveFile = "reserve"

// makeReserve makes the file if it is not there in full. It holds noise: zeros
// would take no room on a file system that compresses.
func (s *store) makeReserve() (err error) {
	path := filepath.Join(s.dir, reserveFile)
	if info, err := os.Stat(path); err == nil && info.Size() == s.limits.reserve {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	noise := rand.NewChaCha8([32]byte{})
	block := make([]byte, 64<<10)
	for left := s.limits.reserve; left > 0; left -= int64(len(block)) {
		_, _ = noise.Read(block) // never fails
		if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// spendReserve gives the room back; false if there is none.
func (s *store) spendReserve(why error) bool {
	err := os.Remove(filepath.Join(s.dir, reserveFile))
	if errors.Is(err, fs.ErrNotExist) {
		s.setLow(why)
		return false
	}
	s.log.Error("consent: the store cannot be written; its reserve is used for answers", "err", why)
	s.setLow(why)
	return err == nil
}

func (s *store) setLow(why error) {
	s.low = true
	s.worry(fmt.Errorf("is the disk full? %w", why))
}

// refill makes the reserve anew when there is room for it.
func (s *store) refill() {
	if s.low {
		s.low = s.makeReserve() != nil
	}
}
