package unpack

import (
	"strings"
)

// Names with a meaning in the layers of an image (OCI image spec, layer.md).
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh." // AUFS bookkeeping, no file of the image
	whiteoutOpaque = ".wh..wh..opq"
)

// cleanName turns the name of an entry into its path below the root: "." or
// slash-separated components without "." or "..". A name that is absolute,
// climbs, or that Linux cannot hold is refused, not repaired: no tool that
// builds images writes one. "/" alone is the root directory, as some write it.
func cleanName(name string) (string, error) {
	if name == "/" {
		return ".", nil
	}
	switch {
	case name == "":
		return "", hostile(name, "empty name")
	case len(name) > maxPath:
		return "", hostile(name, "name of %d bytes", len(name))
	case strings.HasPrefix(name, "/"):
		return "", hostile(name, "absolute name")
	case strings.IndexByte(name, 0) >= 0:
		return "", hostile(name, "NUL in the name")
	}
	return cleanComponents(name)
}

func cleanComponents(name string) (string, error) {
	kept := make([]string, 0, 16)
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return "", hostile(name, "name climbs with ..")
		case len(part) > maxComponent:
			return "", hostile(name, "component of %d bytes", len(part))
		}
		kept = append(kept, part)
	}
	if len(kept) > maxDepth {
		return "", hostile(name, "%d directories deep", len(kept))
	}
	if len(kept) == 0 {
		return ".", nil
	}
	return strings.Join(kept, "/"), nil
}

// split cuts a clean path into its parent ("." for the root) and last component.
func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	return path[:i], path[i+1:]
}

// join is split's inverse.
func join(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}

// role is what an entry's name says about it.
type role int

const (
	ordinary role = iota
	whiteout      // hides base of the layers below
	opaque        // hides everything the layers below have in dir
	ignored       // AUFS bookkeeping
)

// roleOf splits a clean path into parent and base, where base is the hidden
// name for a whiteout.
func roleOf(path string) (r role, dir, base string, err error) {
	dir, base = split(path)
	if strings.HasPrefix(dir, whiteoutPrefix) || strings.Contains(dir, "/"+whiteoutPrefix) {
		return ordinary, "", "", hostile(path, "a whiteout used as a directory")
	}
	switch hidden, is := strings.CutPrefix(base, whiteoutPrefix); {
	case !is:
		return ordinary, dir, base, nil
	case base == whiteoutOpaque:
		return opaque, dir, "", nil
	case hidden == "" || hidden == "." || hidden == "..":
		return ordinary, "", "", hostile(path, "whiteout of %q", hidden)
	case strings.HasPrefix(base, whiteoutMeta):
		return ignored, dir, base, nil
	default:
		return whiteout, dir, hidden, nil
	}
}
