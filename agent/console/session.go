package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
)

// Times and bounds of the ways in.
const (
	tokenLife   = 30 * time.Second
	codeLife    = 3 * time.Minute // it is typed by hand
	sessionLife = 12 * time.Hour

	maxTokens   = 16
	maxSessions = 8
	maxWrong    = 20  // wrong tokens, after which none of those given out works
	maxSeen     = 500 // questions whose first look is remembered

	// deadTime is how long a question takes no answer after it was first shown.
	deadTime = time.Second
)

// keys are the ways in: tokens that work once, and sessions. Only digests are
// kept. It is guarded by its server's mutex.
type keys struct {
	tokens   map[[sha256.Size]byte]token
	sessions map[[sha256.Size]byte]*session
	wrong    int
}

type token struct {
	ends time.Time
	page string // where it leads
	done func() // takes the file away
}

// session is one browser that came in.
type session struct {
	ends  time.Time
	form  string               // must be in every form
	seen  map[string]time.Time // by nonce: when a question was first shown
	flash flash                // what to say on the next page
}

type flash struct {
	Text string
	Bad  bool
}

func newKeys() keys {
	return keys{tokens: map[[sha256.Size]byte]token{}, sessions: map[[sha256.Size]byte]*session{}}
}

func digest(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// issue makes a token; 130 bits of it for a file, 80 for a code.
func (k *keys) issue(t token, code bool) string {
	secret := rand.Text()
	if code {
		var raw [10]byte
		rand.Read(raw[:]) //nolint:errcheck // never fails
		secret = base32.StdEncoding.EncodeToString(raw[:])
	}
	if len(k.tokens) >= maxTokens {
		k.dropTokens()
	}
	k.tokens[digest(secret)] = t
	return secret
}

// enter takes a token and makes a session of it.
func (k *keys) enter(secret string, now time.Time) (cookie, page string, ok bool) {
	at := digest(strings.ToUpper(strings.Join(strings.Fields(secret), "")))
	t, there := k.tokens[at]
	if !there || now.After(t.ends) {
		if k.wrong++; k.wrong >= maxWrong {
			k.dropTokens()
		}
		return "", "", false
	}
	delete(k.tokens, at)
	t.done()
	k.wrong = 0
	if len(k.sessions) >= maxSessions {
		k.dropOldest()
	}
	cookie = rand.Text()
	k.sessions[digest(cookie)] = &session{ends: now.Add(sessionLife), form: rand.Text(), seen: map[string]time.Time{}}
	return cookie, t.page, true
}

// find returns the session of a cookie, nil if there is none.
func (k *keys) find(cookie string, now time.Time) *session {
	s := k.sessions[digest(cookie)]
	if s == nil || now.After(s.ends) {
		return nil
	}
	return s
}

func (k *keys) leave(cookie string) { delete(k.sessions, digest(cookie)) }

// expire drops the tokens whose time is over.
func (k *keys) expire(now time.Time) {
	for at, t := range k.tokens {
		if now.After(t.ends) {
			delete(k.tokens, at)
			t.done()
		}
	}
}

func (k *keys) dropTokens() {
	for at, t := range k.tokens {
		delete(k.tokens, at)
		t.done()
	}
	k.wrong = 0
}

func (k *keys) dropOldest() {
	var oldest [sha256.Size]byte
	var ends time.Time
	for at, s := range k.sessions {
		if ends.IsZero() || s.ends.Before(ends) {
			oldest, ends = at, s.ends
		}
	}
	delete(k.sessions, oldest)
}

// show remembers when a question was first shown.
func (s *session) show(nonce string, now time.Time) {
	if _, known := s.seen[nonce]; known {
		return
	}
	if len(s.seen) >= maxSeen {
		clear(s.seen) // those on the screen must be looked at for a second again
	}
	s.seen[nonce] = now
}

// mayAnswer says whether a question was on the screen long enough.
func (s *session) mayAnswer(nonce string, now time.Time) bool {
	first, shown := s.seen[nonce]
	return shown && now.Sub(first) >= deadTime
}
