// Package cosign checks signatures of images in the formats that cosign
// writes, with the standard library and one public key. It does no I/O.
//
// Promised: a signature counts only if it is by the key, over a payload that
// names the digest asked about, and is meant as a signature: an attestation by
// the same key (a scan, an SBOM) says nothing about who vouches for the image.
//
// Not promised: that the signature is recent, or that the key was not revoked:
// transparency logs and certificates (keyless signing) are not looked at.
package cosign
