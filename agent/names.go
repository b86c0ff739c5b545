package agent

import (
	"crypto/rand"
	"encoding/base32"
	"math/big"
	"regexp"
	"strings"
)

// idEncoding gives ids that fit [a-z0-9].
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newID returns the id of a run: twelve characters, 60 random bits.
func newID() string {
	var raw [8]byte
	rand.Read(raw[:]) //nolint:errcheck // crypto/rand never fails
	return idEncoding.EncodeToString(raw[:])[:12]
}

var (
	adjectives = strings.Fields("amber bold calm clever coral crisp dapper eager fair gentle glad golden jolly keen kind lively lucky mellow merry neat nimble plucky quiet rapid rosy silver snug sunny swift tidy warm wise")
	animals    = strings.Fields("badger beaver bison crane curlew dingo dolphin eagle falcon ferret finch gecko heron ibex jackal koala lemur lynx marten mole newt otter panda plover puffin raven robin seal shrew stoat swan tapir viper wren")
)

// newName makes a name for a run that got none.
func newName() string {
	return pick(adjectives) + "-" + pick(animals)
}

func pick(words []string) string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		return words[0]
	}
	return words[n.Int64()]
}

// nameForm is what users may call a run and a volume; it is safe as a file
// name, a host name and a part of a URL.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)
