//go:build !wasip1

package consentry

// RequestUserEmail asks for the user's e-mail address. Only a module can ask.
func RequestUserEmail(string) (string, error) { return "", ErrNotSupported }

// RequestData asks for fields of one kind of data. Only a module can ask.
func RequestData(string, string, ...string) (map[string]any, error) { return nil, ErrNotSupported }

// Response is the answer to a Request.
type Response struct {
	Status  int
	Headers string
	Body    *Body
}

// Body is what an answer holds.
type Body struct{}

// Read returns ErrNotSupported.
func (*Body) Read([]byte) (int, error) { return 0, ErrNotSupported }

// Close returns ErrNotSupported.
func (*Body) Close() error { return ErrNotSupported }

// Fetch makes an HTTP request. Only a module can ask.
func Fetch(Request) (*Response, error) { return nil, ErrNotSupported }
