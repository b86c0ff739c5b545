package wasmgen

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Options of a module.
type Options struct {
	Seed uint64
	Fuel bool // each call and each round of a loop takes from a budget
	Size int  // of each function, about; 0 means 60
}

// Functions is how many functions a module has; they are exported as f0, f1 …,
// take two i32 and give one. The last is exported as _start as well and takes
// and gives nothing.
const Functions = 5

const fuel = 5_000

// The types, in this order.
const (
	typeFunc  = iota // (i32, i32) -> i32
	typeLoop         // (i32) -> i32
	typeStart        // () -> ()
)

const (
	void    = 0x40
	i32     = 0x7f
	params  = 2
	locals  = 4 // parameters included
	maxNest = 6
)

// Module returns a module.
func Module(o Options) []byte {
	if o.Size == 0 {
		o.Size = 60
	}
	g := &generator{Options: o, rnd: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15))}
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, body []byte) {
		out = append(out, id)
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
	}
	section(1, []byte{3, 0x60, 2, i32, i32, 1, i32, 0x60, 1, i32, 1, i32, 0x60, 0, 0})
	section(3, []byte{Functions + 1, 0, 0, 0, 0, 0, typeStart})
	section(4, []byte{1, 0x70, 0, Functions})
	section(5, []byte{1, 1, 1, 2})
	section(6, append([]byte{2, i32, 1, 0x41}, append(signed(fuel), 0x0b, i32, 1, 0x41, 1, 0x0b)...))
	section(7, exports())
	section(9, []byte{1, 0, 0x41, 0, 0x0b, Functions, 0, 1, 2, 3, 4})
	code := []byte{Functions + 1}
	for range Functions {
		code = sized(code, g.function())
	}
	section(10, sized(code, []byte{0, 0x41, 3, 0x41, 5, 0x10, byte(g.rnd.IntN(Functions)), 0x1a, 0x0b}))
	return out
}

func exports() []byte {
	body := []byte{Functions + 3}
	for i := range Functions {
		body = append(body, 2, 'f', '0'+byte(i), 0, byte(i))
	}
	body = append(body, "\x06_start\x00"...)
	body = append(body, Functions)
	body = append(body, "\x03mem\x02\x00"...)
	return append(body, "\x01g\x03\x01"...)
}

func sized(to, body []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(body))), body...)
}

// generator writes one function after the other.
type generator struct {
	Options
	rnd    *rand.Rand
	b      []byte
	left   int   // of the size of the function
	labels []int // how many values a branch to each open block takes
}

func (g *generator) emit(b ...byte) { g.b = append(g.b, b...) }
func (g *generator) constant(v int32) {
	g.emit(0x41)
	g.emit(signed(v)...)
}

func signed(v int32) []byte {
	var out []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func (g *generator) function() []byte {
	g.b = []byte{1, locals - params, i32}
	g.left = g.Size
	g.labels = []int{1}
	g.burn()
	for g.left > 0 {
		g.statement()
	}
	g.expression()
	g.emit(0x0b)
	return g.b
}

// burn takes from the budget, and returns when there is none.
func (g *generator) burn() {
	if g.Fuel {
		g.emit(0x23, 0, 0x41, 1, 0x6b, 0x24, 0, 0x23, 0, 0x41, 0, 0x4c, 0x04, void, 0x41, 9, 0x0f, 0x0b)
	}
}

func (g *generator) nested(op, blockType byte, takes int, body func()) {
	g.emit(op, blockType)
	g.labels = append(g.labels, takes)
	body()
	g.labels = g.labels[:len(g.labels)-1]
	g.emit(0x0b)
}

func (g *generator) deep() bool { return g.left <= 0 || len(g.labels) > maxNest }

// statement leaves the stack as it was.
func (g *generator) statement() {
	g.left--
	choice := g.rnd.IntN(14)
	if g.deep() {
		choice %= 4
	}
	switch choice {
	case 0, 1:
		g.expression()
		g.emit(0x21, g.local())
	case 2: // store
		g.address()
		g.expression()
		g.emit(0x36, 2, byte(g.rnd.IntN(64)))
	case 3: // global
		g.expression()
		g.emit(0x24, 1)
	case 4, 5:
		g.expression()
		g.nested(0x04, void, 0, func() { g.statements(); g.orElse(); g.statements() })
	case 6:
		g.nested(0x02, void, 0, g.statements)
	case 7, 8, 9:
		g.nested(0x03, void, 0, g.round)
	case 10:
		g.branch()
	case 11:
		g.table()
	case 12:
		g.bulk()
	case 13: // a loop that its branches bring a value
		g.expression()
		g.nested(0x03, typeLoop, 1, func() {
			g.burn()
			g.emit(0x21, g.local())
			g.statements()
			g.expression()
			g.expression()
			g.emit(0x0d, 0)
		})
		g.emit(0x1a)
	}
}

func (g *generator) local() byte { return byte(g.rnd.IntN(locals)) }

func (g *generator) statements() {
	for range g.rnd.IntN(4) {
		g.statement()
	}
}

func (g *generator) orElse() {
	if g.rnd.IntN(2) == 0 {
		g.emit(0x05)
	}
}

// round is the body of a loop, which goes on more often than not.
func (g *generator) round() {
	g.burn()
	g.statements()
	if g.rnd.IntN(5) > 0 {
		g.expression()
		g.emit(0x0d, 0)
	}
}

// branch goes to any open block, or returns; sometimes without a condition.
func (g *generator) branch() {
	to := g.rnd.IntN(len(g.labels))
	if g.labels[len(g.labels)-1-to] == 1 {
		g.expression()
	}
	switch g.rnd.IntN(6) {
	case 0:
		g.emit(0x0c, byte(to))
	case 1:
		g.expression()
		g.emit(0x0f)
	default:
		g.expression()
		g.emit(0x0d, byte(to))
		if g.labels[len(g.labels)-1-to] == 1 {
			g.emit(0x1a)
		}
	}
}

// table branches to blocks that take nothing.
func (g *generator) table() {
	var to []byte
	for i := range g.labels {
		if g.labels[len(g.labels)-1-i] == 0 {
			to = append(to, byte(i))
		}
	}
	if len(to) == 0 {
		return
	}
	g.expression()
	n := 1 + g.rnd.IntN(4)
	g.emit(0x0e, byte(n))
	for range n + 1 {
		g.emit(to[g.rnd.IntN(len(to))])
	}
}

func (g *generator) bulk() {
	g.address()
	if g.rnd.IntN(2) == 0 {
		g.expression()
		g.constant(int32(g.rnd.IntN(5_000)))
		g.emit(0xfc, 11, 0)
		return
	}
	g.address()
	g.constant(int32(g.rnd.IntN(5_000)))
	g.emit(0xfc, 10, 0, 0)
}

// address is below 32 KiB.
func (g *generator) address() {
	g.expression()
	g.constant(0x7fff)
	g.emit(0x71)
}

var binaryOps = []byte{0x46, 0x47, 0x48, 0x4b, 0x4c, 0x4f, 0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x76, 0x77}

// expression leaves one i32.
func (g *generator) expression() {
	g.left--
	choice := g.rnd.IntN(14)
	if g.deep() {
		choice %= 4
	}
	switch choice {
	case 0:
		g.constant(int32(g.rnd.IntN(2_000) - 500))
	case 1, 2:
		g.emit(0x20, g.local())
	case 3:
		g.emit(0x23, 1)
	case 4, 5, 6:
		g.expression()
		g.expression()
		g.emit(binaryOps[g.rnd.IntN(len(binaryOps))])
	case 7:
		g.address()
		g.emit(0x28, 2, byte(g.rnd.IntN(64)))
	case 8:
		g.expression()
		g.nested(0x04, i32, 1, func() { g.statements(); g.expression(); g.emit(0x05); g.expression() })
	case 9:
		g.nested(0x02, i32, 1, func() { g.statements(); g.expression() })
	case 10:
		g.nested(0x03, i32, 0, func() { g.round(); g.expression() })
	case 11:
		g.expression()
		g.expression()
		g.emit(0x10, byte(g.rnd.IntN(Functions)))
	case 12:
		g.expression()
		g.expression()
		g.expression()
		g.constant(7)
		g.emit(0x71, 0x11, typeFunc, 0)
	case 13:
		g.expression()
		g.expression()
		g.expression()
		g.emit(0x1b)
	}
}

// Name is the export of a function.
func Name(i int) string { return fmt.Sprintf("f%d", i) }
