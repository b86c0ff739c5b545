// Command trayicons draws the icons of the tray: trayicons DIR. Each mood has one
// for light and one for dark panels, as PNG and as ICO. trayicons -program DIR
// draws the icon of the programs, for packages.
package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
)

// Sizes in pixels. Panels scale the PNG down; Windows takes the ICO as it is.
const (
	pngSize = 48
	icoSize = 32
	grain   = 8 // samples of a pixel each way
)

var (
	inks = map[string]color.NRGBA{"light": {27, 31, 36, 255}, "dark": {244, 246, 248, 255}}
	// rims are around them, for a panel that is not as the system says.
	rims = map[string]color.NRGBA{"light": {244, 246, 248, 160}, "dark": {27, 31, 36, 200}}

	orange = color.NRGBA{232, 137, 12, 255}
	red    = color.NRGBA{217, 48, 37, 255}
)

func main() {
	program := flag.Bool("program", false, "draw the icon of the programs")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: trayicons [-program] DIR")
		os.Exit(2)
	}
	draw := drawAll
	if *program {
		draw = drawProgram
	}
	if err := draw(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "trayicons:", err)
		os.Exit(1)
	}
}

func drawAll(dir string) error {
	for shade, ink := range inks {
		for _, mood := range []string{"idle", "running", "asking", "alert"} {
			name := filepath.Join(dir, mood+"-"+shade)
			var picture bytes.Buffer
			if err := png.Encode(&picture, draw(pngSize, mood, ink, rims[shade])); err != nil {
				return err
			}
			if err := os.WriteFile(name+".png", picture.Bytes(), 0o644); err != nil {
				return err
			}
			if err := os.WriteFile(name+".ico", ico(draw(icoSize, mood, ink, rims[shade])), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// draw paints by samples: at, the colour of a point of the unit square.
func draw(size int, mood string, ink, rim color.NRGBA) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			var r, g, b, a float64
			for i := range grain * grain {
				px := (float64(x) + (float64(i%grain)+.5)/grain) / float64(size)
				py := (float64(y) + (float64(i/grain)+.5)/grain) / float64(size)
				c := at(px, py, mood, ink, rim)
				w := float64(c.A)
				r, g, b, a = r+float64(c.R)*w, g+float64(c.G)*w, b+float64(c.B)*w, a+w
			}
			if a > 0 {
				img.SetNRGBA(x, y, color.NRGBA{uint8(r / a), uint8(g / a), uint8(b / a), uint8(a / (grain * grain))})
			}
		}
	}
	return img
}

// shield says whether a point lies in a shield that is smaller by inset.
func shield(x, y, inset float64) bool {
	x = math.Abs(x - .5)
	top, bottom, half := .05+inset, .96-inset*1.3, .41-inset
	if y < top || y > bottom {
		return false
	}
	const waist = .45
	if y > waist {
		down := (y - waist) / (bottom - waist)
		half *= math.Sqrt(1 - down*down)
	}
	return x <= half
}

func circle(x, y, cx, cy, r float64) bool { return math.Hypot(x-cx, y-cy) <= r }

func at(x, y float64, mood string, ink, rim color.NRGBA) color.NRGBA {
	nothing := color.NRGBA{}
	switch mood {
	case "idle": // an outline
		switch {
		case shield(x, y, .19):
			return nothing
		case shield(x, y, .15):
			return rim
		}
	case "asking": // full, with a mark at its foot
		if circle(x, y, .73, .73, .24) {
			return orange
		}
		if circle(x, y, .73, .73, .31) {
			return nothing
		}
	case "alert": // red, with an exclamation mark cut out
		if math.Abs(x-.5) < .06 && y > .2 && y < .56 || circle(x, y, .5, .68, .07) {
			return nothing
		}
		ink = red
	case "running": // full, with a window in it
		if circle(x, y, .5, .43, .13) {
			return nothing
		}
	}
	switch {
	case shield(x, y, .04):
		return ink
	case shield(x, y, 0):
		return rim
	}
	return nothing
}

// ico is an icon file of pictures, 32 bits a pixel (ICONDIR, ICONDIRENTRYs,
// and for each a BITMAPINFOHEADER, the rows from below, and an empty mask).
func ico(pictures ...*image.NRGBA) []byte {
	const dirSize, entrySize = 6, 16
	var out, bodies bytes.Buffer
	put := func(v any) { binary.Write(&out, binary.LittleEndian, v) } //nolint:errcheck // never fails
	put([]uint16{0, 1, uint16(len(pictures))})
	start := dirSize + len(pictures)*entrySize
	for _, img := range pictures {
		size, body := img.Bounds().Dx(), dib(img)
		out.Write([]byte{byte(size), byte(size), 0, 0})
		put([]uint16{1, 32})
		put([]uint32{uint32(len(body)), uint32(start + bodies.Len())})
		bodies.Write(body)
	}
	out.Write(bodies.Bytes())
	return out.Bytes()
}

func dib(img *image.NRGBA) []byte {
	size := img.Bounds().Dx()
	var out bytes.Buffer
	put := func(v any) { binary.Write(&out, binary.LittleEndian, v) } //nolint:errcheck // never fails
	const headerSize = 40
	put([]uint32{headerSize, uint32(size), uint32(2 * size)})
	put([]uint16{1, 32})
	put(make([]uint32, 6))
	for y := size - 1; y >= 0; y-- {
		for x := range size {
			c := img.NRGBAAt(x, y)
			out.Write([]byte{c.B, c.G, c.R, c.A})
		}
	}
	out.Write(make([]byte, (size+31)/32*4*size)) // rows of the mask end at 32 bits
	return out.Bytes()
}
