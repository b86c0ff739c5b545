//go:build linux

package ownids

import "testing"

func TestSpaces(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		whole   bool
		count   uint32
		id, out uint32
		known   bool
	}{
		"the machine":    {"         0          0 4294967295\n", true, 4294967295, 7, 7, true},
		"a user alone":   {"0 1000 1\n", false, 1, 0, 1000, true},
		"with sub ids":   {"0 1000 1\n1 100000 65536\n", false, 65537, 65535, 165534, true},
		"in other order": {"1 100000 10\n0 1000 1\n", false, 11, 10, 100009, true},
		"a gap":          {"0 1000 1\n2 100000 10\n", false, 1, 1, 0, false},
		"none":           {"", false, 0, 0, 0, false},
		"root's range":   {"0 100000 65536\n", false, 65536, 65536, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			out, known := s.Outside(c.id)
			if s.Whole() != c.whole || s.Count() != c.count || out != c.out || known != c.known {
				t.Errorf("%v: whole %v, count %d, %d is %d %v", s, s.Whole(), s.Count(), c.id, out, known)
			}
		})
	}
	for _, bad := range []string{"x\n", "0 1\n", "0 -1 1\n", "0 1 4294967296\n"} {
		if s, err := parse(bad); err == nil {
			t.Errorf("%q: %v", bad, s)
		}
	}
}
