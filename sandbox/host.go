package sandbox

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Bounds of a host name (RFC 1035), without the trailing dot.
const (
	MaxHostLen  = 253
	maxLabelLen = 63
	// maxRawHostLen bounds what is looked at before mapping.
	maxRawHostLen = 1024
)

// CanonicalHost returns the one form of a host on which verdicts are made, or
// an error that wraps ErrInvalid. It is idempotent.
//
// A name becomes lower-case ASCII: mapped by UTS 46 for look-up, labels of
// letters, digits and inner hyphens, at most 63 bytes each and 253 in all. One
// trailing dot is taken off. Refused are NUL, spaces, controls, empty labels,
// percent escapes, and underscores (service labels such as _dmarc name no
// host); also xn-- labels that are not what their decoded text encodes to.
//
// An IPv4 address is four plain decimal numbers. Every other form some
// resolver would take for one (0x7f.1, 2130706433, 127.1, 0177.0.0.1) is
// refused: a last label that is a number makes the whole host an address. An
// IPv6 address is written as RFC 5952 says, without brackets; an IPv4-mapped
// one becomes the IPv4 address; zone ids are refused.
func CanonicalHost(host string) (string, error) {
	if host == "" || len(host) > maxRawHostLen {
		return "", fmt.Errorf("%w: host of %d bytes", ErrInvalid, len(host))
	}
	if strings.ContainsRune(host, ':') {
		return canonicalIPv6(host)
	}
	name, err := mapToASCII(host)
	if err != nil {
		return "", fmt.Errorf("%w: host %q: %w", ErrInvalid, host, err)
	}
	name = strings.TrimSuffix(name, ".")
	if err := checkLabels(name); err != nil {
		return "", fmt.Errorf("%w: host %q: %w", ErrInvalid, host, err)
	}
	if endsInNumber(name) {
		return canonicalIPv4(name)
	}
	return name, nil
}

func canonicalIPv6(host string) (string, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return "", fmt.Errorf("%w: %q is not an IPv6 address without a zone", ErrInvalid, host)
	}
	return addr.Unmap().String(), nil
}

func canonicalIPv4(host string) (string, error) {
	addr, err := netip.ParseAddr(host) // takes the plain form only
	if err != nil {
		return "", fmt.Errorf("%w: %q is an IPv4 address in an ambiguous form", ErrInvalid, host)
	}
	return addr.String(), nil
}

// mapToASCII lower-cases, and maps what is not ASCII.
func mapToASCII(host string) (string, error) {
	if isASCII(host) {
		return strings.ToLower(host), nil
	}
	return lookupProfile().ToASCII(host)
}

// lookupProfile is UTS 46 for look-up. Hyphens in the third and fourth place
// are allowed, as in URLs: content networks have such names.
func lookupProfile() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.CheckHyphens(false))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func checkLabels(name string) error {
	if name == "" || len(name) > MaxHostLen {
		return fmt.Errorf("name of %d bytes", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > maxLabelLen {
		return fmt.Errorf("label of %d bytes", len(label))
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return fmt.Errorf("label %q begins or ends with a hyphen", label)
	}
	for i := range len(label) {
		if c := label[i]; !isLetterDigitHyphen(c) {
			return fmt.Errorf("byte %#02x in a label", c)
		}
	}
	if strings.HasPrefix(label, "xn--") {
		return checkPunycode(label)
	}
	return nil
}

func isLetterDigitHyphen(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}

// checkPunycode refuses encodings that are not the one of their own text, so
// that no name has two forms.
func checkPunycode(label string) error {
	profile := lookupProfile()
	text, err := profile.ToUnicode(label)
	if err != nil {
		return err
	}
	back, err := profile.ToASCII(text)
	if err != nil {
		return err
	}
	if back != label || isASCII(text) {
		return fmt.Errorf("label %q is not in normal form", label)
	}
	return nil
}

// endsInNumber says whether a URL parser would take name for an IPv4 address.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, isHex := strings.CutPrefix(last, "0x"); isHex {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
