package consent

import "strings"

// Covers says whether every request that narrow covers is covered by wide, both
// targets of rules of kind k. A target that is none covers nothing and is
// covered by nothing.
func Covers(k Kind, wide, narrow string) bool {
	w, wideText, err := parseScope(k, wide)
	if err != nil {
		return false
	}
	n, narrowText, err := parseScope(k, narrow)
	if err != nil {
		return false
	}
	switch {
	case k == NetConnect:
		return w.hosts[0].covers(n.hosts[0]) && w.coversPorts(n) && (w.proto == anyProtocol || w.proto == n.proto)
	case k == NetListen:
		return w.coversPorts(n)
	case k.IsData():
		return w.coversFields(n)
	case k == FileRead, k == FileWrite:
		return wideText == narrowText || strings.HasPrefix(narrowText, wideText+"/")
	case k == URLOpen:
		return wideText == narrowText || wideText == originOf(narrowText)
	}
	return wideText == narrowText
}

func (s scope) coversPorts(n scope) bool { return s.lo <= n.lo && n.hi <= s.hi }

func (s scope) coversFields(n scope) bool {
	own := map[string]bool{}
	for _, field := range s.keys {
		own[field] = true
	}
	for _, field := range n.keys {
		if !own[field] && !own["*"] {
			return false
		}
	}
	return true
}

// covers: "*" is every name but no address; what stands below a name are names.
func (h host) covers(n host) bool {
	switch {
	case h.net.IsValid() != n.net.IsValid():
		return false
	case h.net.IsValid():
		return h.net.Bits() <= n.net.Bits() && h.net.Contains(n.net.Addr())
	case h.name == "*", h.name == n.name:
		return true
	}
	return strings.HasPrefix(h.name, ".") && strings.HasSuffix(n.name, h.name)
}
