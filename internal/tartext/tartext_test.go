package tartext

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"
)

func TestArchive(t *testing.T) {
	r := tar.NewReader(bytes.NewReader(Archive("0\t640\ta/f\tbody\nnothing\n2\t777\tl\t../out\n5\t4755\td/\n0\t9\tbad mode")))
	for _, want := range []tar.Header{
		{Typeflag: '0', Mode: 0o640, Name: "a/f", Size: 4},
		{Typeflag: '2', Mode: 0o777, Name: "l", Linkname: "../out"},
		{Typeflag: '5', Mode: 0o4755, Name: "d/"},
	} {
		got, err := r.Next()
		if err != nil || got.Typeflag != want.Typeflag || got.Mode != want.Mode || got.Name != want.Name || got.Linkname != want.Linkname || got.Size != want.Size {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}
