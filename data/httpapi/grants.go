package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/consentry/consentry/sandbox"
)

func (a *API) grants(w http.ResponseWriter, r *http.Request) {
	giver, can := a.broker.(sandbox.Giver)
	if !can {
		problemOf(sandbox.ErrUnavailable).write(w)
		return
	}
	given, err := giver.Given(r.Context())
	if err != nil {
		problemOf(err).write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"grants": append([]sandbox.GivenData{}, given...)})
}

func (a *API) giveBack(w http.ResponseWriter, r *http.Request) {
	giver, can := a.broker.(sandbox.Giver)
	err := sandbox.ErrUnavailable
	if can {
		err = giver.GiveBack(r.Context(), r.PathValue("grant"))
	}
	if err != nil {
		problemOf(err).write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// file is GET /v1/files/HANDLE, with ranges (RFC 9110). Every piece is asked
// for anew, so that a grant that was taken back ends it in the middle.
func (a *API) file(w http.ResponseWriter, r *http.Request) {
	reader, can := a.broker.(sandbox.PieceReader)
	if !can {
		problemOf(sandbox.ErrUnavailable).write(w)
		return
	}
	f := &file{ctx: r.Context(), from: reader, handle: r.PathValue("handle")}
	size, err := f.size()
	if err != nil {
		problemOf(err).write(w)
		return
	}
	f.length = size
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", "attachment")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// file is an io.ReadSeeker over the pieces of a file.
type file struct {
	ctx    context.Context
	from   sandbox.PieceReader
	handle string
	length int64 // bytes
	at     int64
}

func (f *file) size() (int64, error) {
	got, err := f.from.Piece(f.ctx, sandbox.FilePiece{Handle: f.handle})
	return got.Size, err
}

func (f *file) Read(p []byte) (int, error) {
	want := int(min(int64(len(p)), sandbox.MaxPiece, f.length-f.at))
	if want <= 0 {
		return 0, io.EOF
	}
	got, err := f.from.Piece(f.ctx, sandbox.FilePiece{Handle: f.handle, Offset: f.at, Length: want})
	if err != nil {
		return 0, err
	}
	if len(got.Data) == 0 || len(got.Data) > want {
		return 0, fmt.Errorf("%w: the file has another length now", io.ErrUnexpectedEOF)
	}
	f.at += int64(len(got.Data))
	return copy(p, got.Data), nil
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.length
	}
	if offset < 0 {
		return 0, errors.New("before the beginning")
	}
	f.at = offset
	return offset, nil
}
