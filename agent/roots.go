package agent

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/consentry/consentry/sandbox"
)

var _ sandbox.Rooter = (*broker)(nil)

// rootFiles are where Linux distributions and BSDs keep whom they trust, in the
// order of crypto/x509.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
	"/etc/ssl/cert.pem",                                 // Alpine, macOS
}

// maxRoots is in bytes; a message of the worker's socket has 4 MiB, in base64.
const maxRoots = 2 << 20

// Roots reads the certificates of this machine, or of SSL_CERT_FILE, as
// crypto/x509 does.
func (*broker) Roots(context.Context) ([]byte, error) {
	files := rootFiles
	if own := os.Getenv("SSL_CERT_FILE"); own != "" {
		files = []string{own}
	}
	var first error
	for _, path := range files {
		raw, err := readRoots(path)
		if err == nil {
			return raw, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, fmt.Errorf("%w: certificates: %w", sandbox.ErrUnavailable, first)
}

func readRoots(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxRoots+1))
	if err == nil && len(raw) > maxRoots {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxRoots)
	}
	return raw, err
}
