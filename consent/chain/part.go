package chain

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A part of the ledger outside the store, an archive or an export, is lines of
// JSON:
//
//	{"ledger":"consentry 1","publicKey":…,"after":{"seq":…,"hash":…}}
//	{"seq":…,"time":…,"event":…,…,"hash":…}                       each Line
//	{"end":{"seq":…,"hash":…},"signature":…}
//
// Every hash is over the one before and its own line. The signature is over the
// first and the last hash, so that whoever has the public key needs nothing
// else to prove that no line was changed, added or taken away.
type partHead struct {
	Ledger    string    `json:"ledger"`
	PublicKey string    `json:"publicKey"`
	After     partPoint `json:"after"`
}

type partEnd struct {
	End       *partPoint `json:"end"`
	Signature string     `json:"signature"`
}

type partPoint struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

const (
	partFormat  = "consentry 1"
	maxPartLine = 64 << 10 // bytes
)

func (p Point) part() partPoint { return partPoint{p.Seq, hex.EncodeToString(p.Hash)} }

func (p partPoint) point() (Point, error) {
	digest, err := hex.DecodeString(p.Hash)
	if err != nil || len(digest) != 0 && len(digest) != sha256.Size || (p.Seq == 0) != (len(digest) == 0) {
		return Point{}, errors.New("a hash of the ledger is not one")
	}
	return Point{p.Seq, digest}, nil
}

// Point is a place in the ledger: a line and the hash of the chain up to it.
type Point struct {
	Seq  uint64
	Hash []byte // nil before the first line
}

// Is says whether both are the same place.
func (p Point) Is(q Point) bool { return p.Seq == q.Seq && bytes.Equal(p.Hash, q.Hash) }

// Write writes what a signature of the place covers.
func (p Point) Write(h hash.Hash) {
	WriteNumber(h, int64(p.Seq)) //nolint:gosec // bits, not a value
	WriteText(h, string(p.Hash))
}

func partMessage(from, to Point) []byte {
	h := sha256.New()
	WriteText(h, "consentry ledger part 1")
	from.Write(h)
	to.Write(h)
	return h.Sum(nil)
}

// Writer writes a part line by line. Without End it proves nothing.
type Writer struct {
	json *json.Encoder
	key  ed25519.PrivateKey
	from Point
}

// NewWriter begins a part that follows from and is signed with key.
func NewWriter(w io.Writer, key ed25519.PrivateKey, from Point) (*Writer, error) {
	p := &Writer{json.NewEncoder(w), key, from}
	return p, p.json.Encode(partHead{partFormat, hex.EncodeToString(key.Public().(ed25519.PublicKey)), from.part()})
}

// Add writes the next line.
func (p *Writer) Add(l Line) error { return p.json.Encode(l) }

// End signs what was written, of which to is the last line.
func (p *Writer) End(to Point) error {
	end := to.part()
	return p.json.Encode(partEnd{&end, hex.EncodeToString(ed25519.Sign(p.key, partMessage(p.from, to)))})
}

// Proof is what a part of the ledger proves.
type Proof struct {
	First, Last uint64 // lines; with none in it Last is First-1
	Key         string // hex: the public key that it was signed with
}

// Verify proves an exported part of a ledger and calls f, which may be nil, with
// its lines; believe them only when it returns nil. With key "" the part may be
// signed with any key: then it is whole, but whose it is stays open.
func Verify(r io.Reader, key string, f func(Line) error) (Proof, error) {
	if f == nil {
		f = func(Line) error { return nil }
	}
	from, to, public, err := Read(r, key, f)
	return Proof{First: from.Seq + 1, Last: to.Seq, Key: public}, err
}

// Read is Verify for who knows where the part must begin: it returns that too.
func Read(r io.Reader, key string, f func(Line) error) (from, to Point, public string, err error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 4096), maxPartLine)
	if !scan.Scan() {
		return from, to, "", errors.Join(errors.New("there is no part of a ledger in it"), scan.Err())
	}
	var head partHead
	if err := json.Unmarshal(scan.Bytes(), &head); err != nil || head.Ledger != partFormat {
		return from, to, "", errors.New("it is no part of a ledger that this program knows")
	}
	if from, err = head.After.point(); err != nil {
		return from, to, "", err
	}
	if key != "" && key != head.PublicKey {
		return from, from, head.PublicKey, fmt.Errorf("it is signed with the key %.64s", head.PublicKey)
	}
	to, end, err := readPartLines(scan, from, f)
	if err != nil {
		return from, to, head.PublicKey, err
	}
	return from, to, head.PublicKey, head.check(from, to, end)
}

// readPartLines reads up to the end line, which must be the last.
func readPartLines(scan *bufio.Scanner, to Point, f func(Line) error) (Point, partEnd, error) {
	for scan.Scan() {
		var end partEnd
		if bytes.HasPrefix(scan.Bytes(), []byte(`{"end":`)) {
			if err := json.Unmarshal(scan.Bytes(), &end); err != nil || end.End == nil || scan.Scan() {
				return to, end, errors.New("its end is not one")
			}
			return to, end, nil
		}
		var l Line
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			return to, end, fmt.Errorf("line %d of the ledger cannot be read: %w", to.Seq+1, err)
		}
		next, err := l.Follow(to)
		if err != nil {
			return to, end, err
		}
		to = next
		if err := f(l); err != nil {
			return to, end, err
		}
	}
	return to, partEnd{}, errors.Join(fmt.Errorf("it is cut off after line %d", to.Seq), scan.Err())
}

// check proves that the part ends where it was signed to end.
func (h partHead) check(from, to Point, end partEnd) error {
	key, keyErr := hex.DecodeString(h.PublicKey)
	signature, signErr := hex.DecodeString(end.Signature)
	signed, err := end.End.point()
	switch {
	case err != nil:
		return err
	case keyErr != nil || signErr != nil || len(key) != ed25519.PublicKeySize:
		return errors.New("its key or signature is not one")
	case !signed.Is(to):
		return fmt.Errorf("it ends with line %d, signed was line %d", to.Seq, signed.Seq)
	case !ed25519.Verify(key, partMessage(from, to), signature):
		return errors.New("its signature does not fit")
	}
	return nil
}
