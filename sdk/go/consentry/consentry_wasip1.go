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

// Request asks the user, for one item after the other. An error says that
// nothing was given; see Error.
func Request(q Question) (*Answer, error) {
	if len(q.Items) == 0 {
		return nil, &Error{"invalid", "a request has 1 to 8 items"}
	}
	answer := &Answer{Status: "granted"}
	var first error
	given := false
	for _, item := range q.Items {
		one, err := requestItem(q, item)
		if err != nil && first == nil {
			first = err
		}
		given = given || err == nil
		if one.Status != "granted" {
			answer.Status = "partial"
		}
		answer.Items = append(answer.Items, one)
	}
	if !given {
		return nil, first
	}
	return answer, nil
}

func requestItem(q Question, item Item) (Given, error) {
	one := Given{Type: item.Type}
	body := struct {
		Item
		Purpose string `json:"purpose"`
		Retain  string `json:"retain,omitempty"`
	}{Item: item, Purpose: q.Purpose}
	if q.Retain {
		body.Retain = "run"
	}
	question, err := json.Marshal(body)
	if err != nil {
		return one, err
	}
	name := []byte(item.Type)
	var h uint32
	errno := hostRequest(pointer(name), uint32(len(name)), pointer(question), uint32(len(question)), unsafe.Pointer(&h))
	runtime.KeepAlive(name)
	runtime.KeepAlive(question)
	if errno != 0 {
		failed := errorOf("request", errno)
		one.Status = codeOf(errno)
		return one, failed
	}
	if err := decode(h, &one); err != nil {
		return one, err
	}
	one.Type, one.Status = item.Type, "granted"
	if len(one.Withheld) > 0 {
		one.Status = "partial"
	}
	return one, nil
}

// decode reads the JSON behind a handle, and closes it.
func decode(handle uint32, into any) error {
	body := &Body{handle: handle}
	defer body.Close()
	return json.NewDecoder(body).Decode(into)
}

// Kinds lists what there is to ask for. It asks the user nothing.
func Kinds() ([]Kind, error) {
	var h uint32
	if errno := hostKinds(unsafe.Pointer(&h)); errno != 0 {
		return nil, errorOf("kinds", errno)
	}
	var answer struct {
		Kinds []Kind `json:"kinds"`
	}
	err := decode(h, &answer)
	return answer.Kinds, err
}

// Grants lists what this run was given.
func Grants() ([]Grant, error) {
	var h uint32
	if errno := hostGrants(unsafe.Pointer(&h)); errno != 0 {
		return nil, errorOf("grants", errno)
	}
	var answer struct {
		Grants []Grant `json:"grants"`
	}
	err := decode(h, &answer)
	return answer.Grants, err
}

// GiveBack ends a grant.
func GiveBack(grant string) error {
	id := []byte(grant)
	errno := hostGiveBack(pointer(id), uint32(len(id)))
	runtime.KeepAlive(id)
	return errorOf("give_back", errno)
}

// OpenFile reads a file that the user picked: "content" of a record of type
// "files". Close it.
func OpenFile(handle string) (io.ReadCloser, error) {
	id := []byte(handle)
	var h uint32
	errno := hostFileOpen(pointer(id), uint32(len(id)), unsafe.Pointer(&h))
	runtime.KeepAlive(id)
	if errno != 0 {
		return nil, errorOf("file_open", errno)
	}
	return &Body{handle: h}, nil
}

// Response is the answer to an HTTPRequest. Its Body must be closed.
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
func Fetch(r HTTPRequest) (*Response, error) {
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
