package consent

import "errors"

// Errors that callers branch on.
var (
	// ErrNoSuchRequest: no request of that id waits; it was answered, or never asked.
	ErrNoSuchRequest = errors.New("no such request waits for an answer")
	// ErrStaleNonce: the answer was given to an earlier showing of the request.
	ErrStaleNonce = errors.New("the answer belongs to an earlier prompt; look at the request again")
	// ErrTooEarly: a button was pressed before the question could be read.
	ErrTooEarly = errors.New("the question takes no answer in the first second after it is shown")
	// ErrBadAnswer: the answer is not one that this request can have.
	ErrBadAnswer = errors.New("not an answer to this request")
	// ErrBadRule: the rule cannot be given.
	ErrBadRule = errors.New("not a rule that can be given")
	// ErrNoSuchRule: nothing there to take back.
	ErrNoSuchRule = errors.New("no such rule")
	// ErrDamaged: the store is not what was saved; everything is denied.
	ErrDamaged = errors.New("damaged consent store")
	// ErrKeychain: the keychain does not give the key; everything is denied.
	ErrKeychain = errors.New("no answer from the keychain")
)
