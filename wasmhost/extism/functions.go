package extism

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// functions is the module, in the order of Extism's documentation.
func (h *Host) functions() []function {
	return append([]function{
		{"alloc", "I", "I", func(_ context.Context, a []uint64) (uint64, error) { return h.mem.alloc(a[0]), nil }},
		{"free", "I", "", func(_ context.Context, a []uint64) (uint64, error) { h.mem.release(a[0]); return 0, nil }},
		{"length", "I", "I", func(_ context.Context, a []uint64) (uint64, error) { return h.mem.length(a[0]), nil }},
		{"length_unsafe", "I", "I", func(_ context.Context, a []uint64) (uint64, error) { return h.mem.length(a[0]), nil }},
		{"load_u8", "I", "i", h.load8},
		{"load_u64", "I", "I", func(_ context.Context, a []uint64) (uint64, error) { return h.mem.load64(a[0]) }},
		{"store_u8", "Ii", "", h.store8},
		{"store_u64", "II", "", func(_ context.Context, a []uint64) (uint64, error) { return 0, h.mem.store64(a[0], a[1]) }},
		{"input_set", "II", "", func(_ context.Context, a []uint64) (uint64, error) { h.input = a[0]; return 0, nil }},
		{"input_offset", "", "I", func(context.Context, []uint64) (uint64, error) { return h.input, nil }},
		{"input_length", "", "I", func(context.Context, []uint64) (uint64, error) { return h.mem.length(h.input), nil }},
		{"input_load_u8", "I", "i", h.inputLoad8},
		{"input_load_u64", "I", "I", h.inputLoad64},
		{"output_set", "II", "", h.setOutput},
		{"output_offset", "", "I", func(context.Context, []uint64) (uint64, error) { return h.output.offset, nil }},
		{"output_length", "", "I", func(context.Context, []uint64) (uint64, error) { return h.output.length, nil }},
		{"error_set", "I", "", func(_ context.Context, a []uint64) (uint64, error) { h.failed = a[0]; return 0, nil }},
		{"error_get", "", "I", func(context.Context, []uint64) (uint64, error) { return h.failed, nil }},
		{"reset", "", "", func(context.Context, []uint64) (uint64, error) { h.reset(); return 0, nil }},
		{"memory_bytes", "", "I", func(context.Context, []uint64) (uint64, error) { return uint64(len(h.mem.bytes)), nil }},
		{"config_get", "I", "I", h.configGet},
		{"var_get", "I", "I", h.varGet},
		{"var_set", "II", "", h.varSet},
		{"http_request", "II", "I", h.httpRequest},
		{"http_status_code", "", "i", func(context.Context, []uint64) (uint64, error) { return uint64(h.status), nil }},
		{"http_headers", "", "I", func(context.Context, []uint64) (uint64, error) { return h.header, nil }},
		{"get_log_level", "", "i", func(context.Context, []uint64) (uint64, error) { return levelInfo, nil }},
	}, h.logs()...)
}

// levelInfo is Extism's number of the lowest level that is written.
const levelInfo = 2

func (h *Host) logs() []function {
	var out []function
	for level, name := range []string{"trace", "debug", "info", "warn", "error"} {
		out = append(out, function{"log_" + name, "I", "", func(_ context.Context, a []uint64) (uint64, error) {
			if text := h.mem.take(a[0]); level >= levelInfo {
				h.cfg.Log(name + ": " + clean(string(text)))
			}
			return 0, nil
		}})
	}
	return out
}

func (h *Host) load8(_ context.Context, a []uint64) (uint64, error) {
	b, err := h.mem.slice(a[0], 1)
	if err != nil {
		return 0, err
	}
	return uint64(b[0]), nil
}

func (h *Host) store8(_ context.Context, a []uint64) (uint64, error) {
	b, err := h.mem.slice(a[0], 1)
	if err == nil {
		b[0] = byte(a[1])
	}
	return 0, err
}

// inputLoad8 gives 0 behind the end of the input, as Extism's own host does.
func (h *Host) inputLoad8(ctx context.Context, a []uint64) (uint64, error) {
	if a[0] >= h.mem.length(h.input) {
		return 0, nil
	}
	return h.load8(ctx, []uint64{h.input + a[0]})
}

func (h *Host) inputLoad64(_ context.Context, a []uint64) (uint64, error) {
	if n := h.mem.length(h.input); n < 8 || a[0] > n-8 {
		return 0, nil
	}
	return h.mem.load64(h.input + a[0])
}

func (h *Host) setOutput(_ context.Context, a []uint64) (uint64, error) {
	h.output = span{a[0], a[1]}
	_, err := h.mem.slice(a[0], a[1])
	return 0, err
}

func (h *Host) reset() {
	h.mem.reset()
	h.input, h.output, h.failed, h.header = 0, span{}, 0, 0
}

// configGet leaves the name to the plugin, as Extism's own host does.
func (h *Host) configGet(_ context.Context, a []uint64) (uint64, error) {
	name, err := h.mem.slice(a[0], h.mem.length(a[0]))
	if err != nil {
		return 0, err
	}
	return h.give([]byte(h.cfg.Values[string(name)]))
}

func (h *Host) varGet(_ context.Context, a []uint64) (uint64, error) {
	return h.give(h.vars[string(h.mem.take(a[0]))])
}

// give makes a block of what may be empty.
func (h *Host) give(content []byte) (uint64, error) {
	offset := h.mem.put(content)
	if offset == 0 && len(content) > 0 {
		return 0, errFull
	}
	return offset, nil
}

var errFull = errors.New("the shared memory is full")

func (h *Host) varSet(_ context.Context, a []uint64) (uint64, error) {
	name := string(h.mem.take(a[0]))
	if a[1] == 0 {
		delete(h.vars, name)
		return 0, nil
	}
	value := h.mem.take(a[1])
	total := len(name) + len(value)
	for k, v := range h.vars {
		if k != name {
			total += len(k) + len(v)
		}
	}
	if total > maxVars {
		return 0, fmt.Errorf("variables are more than %d bytes", maxVars)
	}
	h.vars[name] = value
	return 0, nil
}

// httpRequest gives the body of the answer; its status and headers are asked
// for afterwards.
func (h *Host) httpRequest(ctx context.Context, a []uint64) (uint64, error) {
	h.mem.release(h.header)
	h.status, h.header = 0, 0
	var r Request
	if err := json.Unmarshal(h.mem.take(a[0]), &r); err != nil {
		return 0, fmt.Errorf("request: %w", err)
	}
	if a[1] != 0 {
		r.Body = h.mem.take(a[1])
	}
	resp, err := h.cfg.Fetch(ctx, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, err
	}
	if len(body) > maxAnswer {
		return 0, fmt.Errorf("answer is more than %d bytes", maxAnswer)
	}
	if h.header, err = h.give(headers(resp.Header)); err != nil {
		return 0, err
	}
	h.status = resp.StatusCode
	return h.give(body)
}

func headers(from http.Header) []byte {
	list := make(map[string]string, len(from))
	for name, values := range from {
		list[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil // of strings it cannot fail
	}
	return text
}
