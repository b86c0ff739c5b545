package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
)

// The icon of the programs, in packages: blue, with a rim for dark backgrounds.
var (
	programInk = color.NRGBA{29, 78, 137, 255}
	programRim = color.NRGBA{244, 246, 248, 255}

	// programSizes are those of PNG files, in pixels, as themes of icons have them.
	programSizes = []int{16, 32, 48, 64, 128, 256, 512}
)

// drawProgram writes SIZE.png for each size, consentry.ico and consentry.icns.
func drawProgram(dir string) error {
	var small []*image.NRGBA
	pictures := map[int][]byte{}
	for _, size := range programSizes {
		img := draw(size, "running", programInk, programRim)
		var file bytes.Buffer
		if err := png.Encode(&file, img); err != nil {
			return err
		}
		pictures[size] = file.Bytes()
		if size <= 48 {
			small = append(small, img)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.png", size)), file.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "consentry.ico"), ico(small...), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "consentry.icns"), icns(pictures), 0o644)
}

// icns is Apple's icon file: a length and, for each PNG, its type and length,
// all in network order (iconutil(1) names the types).
func icns(pictures map[int][]byte) []byte {
	const header = 8
	var body bytes.Buffer
	part := func(kind string, data []byte) {
		body.WriteString(kind)
		binary.Write(&body, binary.BigEndian, uint32(header+len(data))) //nolint:errcheck // never fails
		body.Write(data)
	}
	part("ic07", pictures[128])
	part("ic08", pictures[256])
	part("ic09", pictures[512])
	out := bytes.NewBufferString("icns")
	binary.Write(out, binary.BigEndian, uint32(header+body.Len())) //nolint:errcheck // never fails
	out.Write(body.Bytes())
	return out.Bytes()
}
