package consentry

import (
	"encoding/json"
	"io"
	"runtime"
	"unsafe"
)

// pointer returns the address of b's first byte, or of something else if
// there is none.
func pointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		b = make([]byte, 1)
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

// RequestUserEmail asks for the user's e-mail address. The reason is shown to
// the user; it has 1 to 500 bytes.
func RequestUserEmail(reason string) (string, error) {
	why := []byte(reason)
	buf := make([]byte, 256)
	for {
		var n uint32
		errno := hostRequestUserEmail(pointer(why), uint32(len(why)), pointer(buf), uint32(len(buf)), unsafe.Pointer(&n))
		runtime.KeepAlive(why)
		switch {
		case errno == 0:
			return string(buf[:n]), nil
		case errno == errnoNOBUFS && int(n) > len(buf):
			buf = make([]byte, n) // the host kept the answer
		default:
			return "", errorOf("request_user_email", errno)
		}
	}
}

// RequestData asks for fields of one kind of data ("identity"). A field that
// ends in "?" may be left out by the user.
func RequestData(kind, purpose string, fields ...string) (map[string]any, error) {
	question, err := json.Marshal(map[string]any{"fields": fields, "purpose": purpose})
	if err != nil {
		return nil, err
	}
	name := []byte(kind)
	var h uint32
	errno := hostRequest(pointer(name), uint32(len(name)), pointer(question), uint32(len(question)), unsafe.Pointer(&h))
	runtime.KeepAlive(name)
	runtime.KeepAlive(question)
	if errno != 0 {
		return nil, errorOf("request", errno)
	}
	body := &Body{handle: h}
	defer body.Close()
	var answer struct {
		Values map[string]any `json:"values"`
	}
	err = json.NewDecoder(body).Decode(&answer)
	return answer.Values, err
}

// Response is the answer to a Request. Its Body must be closed.
type Response struct {
	Status  int
	Headers string // "Name: value" lines, each ended by CR LF
	Body    *Body
}

// Body is what an answer holds.
type Body struct{ handle uint32 }

// Read fills p; io.EOF is the end.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n uint32
	errno := hostRead(b.handle, pointer(p), uint32(len(p)), unsafe.Pointer(&n))
	if errno == 0 && n == 0 {
		return 0, io.EOF
	}
	return int(n), errorOf("read", errno)
}

// Close gives the handle back.
func (b *Body) Close() error { return errorOf("close", hostClose(b.handle)) }

// Fetch makes an HTTP request and returns once the head of the answer is here.
func Fetch(r Request) (*Response, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var h uint32
	errno := hostHTTPFetch(pointer(text), uint32(len(text)), unsafe.Pointer(&h))
	runtime.KeepAlive(text)
	if errno != 0 {
		return nil, errorOf("http_fetch", errno)
	}
	resp := &Response{Body: &Body{handle: h}}
	var status uint32
	if errno := hostHTTPStatus(h, unsafe.Pointer(&status)); errno != 0 {
		resp.Body.Close()
		return nil, errorOf("http_status", errno)
	}
	resp.Status = int(status)
	if resp.Headers, err = headers(h); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func headers(handle uint32) (string, error) {
	buf := make([]byte, 4096)
	for {
		var n uint32
		errno := hostHTTPHeaders(handle, pointer(buf), uint32(len(buf)), unsafe.Pointer(&n))
		switch {
		case errno == 0:
			return string(buf[:n]), nil
		case errno == errnoNOBUFS && int(n) > len(buf):
			buf = make([]byte, n)
		default:
			return "", errorOf("http_headers", errno)
		}
	}
}
