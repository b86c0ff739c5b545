package unpack

import (
	"archive/tar"
	"strings"
)

// Prefixes under which archive/tar hands over extended attributes, and the
// names among them that mean something to the kernel.
const (
	paxXattr       = "SCHILY.xattr."
	userXattr      = "user."
	userOverlay    = "user.overlay."
	trustedOverlay = "trusted.overlay."
	capability     = "security.capability"
)

// checkHeader refuses what no image needs and an attacker could use.
func checkHeader(hdr *tar.Header) error {
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo,
		tar.TypeChar, tar.TypeBlock, tar.TypeCont, tar.TypeGNUSparse:
	default:
		return hostile(hdr.Name, "entry of unknown type %q", hdr.Typeflag)
	}
	if hdr.Typeflag == tar.TypeChar && hdr.Devmajor == 0 && hdr.Devminor == 0 {
		return hostile(hdr.Name, "device 0/0, which overlayfs takes for a whiteout")
	}
	if int64(hdr.Uid) < 0 || int64(hdr.Uid) > maxID || int64(hdr.Gid) < 0 || int64(hdr.Gid) > maxID {
		return hostile(hdr.Name, "owner %d:%d is not a user id", hdr.Uid, hdr.Gid)
	}
	for key := range hdr.PAXRecords {
		if name, is := strings.CutPrefix(key, paxXattr); is && strings.HasPrefix(name, trustedOverlay) {
			return hostile(hdr.Name, "carries %.100q, which belongs to overlayfs", name)
		}
	}
	return nil
}

// xattrs returns the attributes to set, and counts the others in res.
func xattrs(hdr *tar.Header, res *Result) map[string]string {
	var kept map[string]string
	for key, value := range hdr.PAXRecords {
		name, is := strings.CutPrefix(key, paxXattr)
		switch {
		case !is:
		case name == capability:
			res.Caps++
		case !strings.HasPrefix(name, userXattr) || strings.HasPrefix(name, userOverlay):
			res.Xattrs++
		default:
			if kept == nil {
				kept = make(map[string]string)
			}
			kept[name] = value
		}
	}
	return kept
}

// unixMode is the header's permission bits with set-uid, set-gid and sticky.
func unixMode(hdr *tar.Header) uint32 { return uint32(hdr.Mode) & 0o7777 }
