package oci

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxResumes bounds how often one blob is asked for again where it broke off.
const maxResumes = 5

// accepted are the manifests we ask for; schema 1 so that it can be named.
var accepted = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.DockerManifestSchema1), string(types.DockerManifestSchema1Signed),
}, ",")

// registry is an origin behind the distribution API.
type registry struct {
	ref    name.Reference
	client *http.Client
	scheme string
	idle   interface{ CloseIdleConnections() }
}

// openRegistry logs in, with the credentials docker and podman use, and finds
// out whether the registry speaks TLS.
func openRegistry(ctx context.Context, ref name.Reference, set Registries) (*registry, error) {
	reg := ref.Context().Registry
	base, is := remote.DefaultTransport.(*http.Transport)
	if !is {
		return nil, errors.New("the registry library has no usual transport")
	}
	base = base.Clone()
	if err := set.trust(base, hostOf(ref), certDirs); err != nil {
		return nil, err
	}
	g := &guard{inner: base, loopback: isLoopback(reg.RegistryStr()), wait: sleep}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, ref.Context())
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", reg.RegistryStr(), err)
	}
	rt, err := transport.NewWithContext(ctx, reg, auth, g, []string{ref.Context().Scope(transport.PullScope)})
	if err != nil {
		base.CloseIdleConnections()
		return nil, explain(ref, err)
	}
	return &registry{ref: ref, client: &http.Client{Transport: rt}, scheme: reg.Scheme(), idle: base}, nil
}

func (r *registry) Close() error {
	r.idle.CloseIdleConnections()
	return nil
}

// publisher: the guard lets nothing but TLS out of this machine, so a registry
// elsewhere was vouched for by its certificate.
func (r *registry) publisher() string {
	if isLoopback(r.ref.Context().RegistryStr()) {
		return ""
	}
	return people(r.ref.Context().Name())
}

func (r *registry) get(ctx context.Context, kind, id string, header http.Header, codes ...int) (*http.Response, error) {
	url := fmt.Sprintf("%s://%s/v2/%s/%s/%s", r.scheme, r.ref.Context().RegistryStr(), r.ref.Context().RepositoryStr(), kind, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, explain(r.ref, err)
	}
	if !slices.Contains(codes, resp.StatusCode) {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxReply}
		err := transport.CheckError(resp, codes...)
		return nil, errors.Join(explain(r.ref, err), resp.Body.Close())
	}
	return resp, nil
}

func (r *registry) top(ctx context.Context) (document, error) {
	raw, kind, err := r.document(ctx, r.ref.Identifier())
	if err != nil {
		return document{}, err
	}
	doc, err := newDocument(raw, kind)
	if err != nil {
		return document{}, err
	}
	if pinned, is := r.ref.(name.Digest); is && pinned.DigestStr() != doc.digest.String() {
		return document{}, corrupt("%s: the registry sent a manifest with digest %s", r.ref, doc.digest)
	}
	return doc, nil
}

func (r *registry) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	raw, _, err := r.document(ctx, d.Digest.String())
	return raw, err
}

func (r *registry) document(ctx context.Context, id string) ([]byte, types.MediaType, error) {
	resp, err := r.get(ctx, "manifests", id, http.Header{"Accept": {accepted}}, http.StatusOK)
	if err != nil {
		return nil, "", err
	}
	return readDocument(resp, "manifest "+id)
}

// readDocument reads an answer whole, and closes it.
func readDocument(resp *http.Response, what string) ([]byte, types.MediaType, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, "", fmt.Errorf("read %s: %w", what, err)
	}
	if len(raw) > maxManifest {
		return nil, "", corrupt("%s is more than %d bytes", what, maxManifest)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return raw, types.MediaType(strings.TrimSpace(kind)), nil
}

func (r *registry) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	b := &remoteBlob{ctx: ctx, registry: r, d: d}
	return b, b.open()
}

// remoteBlob is the body of a blob; a connection that breaks is taken up again
// where it broke.
type remoteBlob struct {
	ctx      context.Context
	registry *registry
	d        v1.Descriptor
	at       int64
	body     io.ReadCloser
	resumes  int
}

func (b *remoteBlob) open() error {
	header, want := http.Header{}, http.StatusOK
	if b.at > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", b.at))
		want = http.StatusPartialContent
	}
	resp, err := b.registry.get(b.ctx, "blobs", b.d.Digest.String(), header, want)
	if err != nil {
		return err
	}
	if length := resp.ContentLength; length >= 0 && length != b.d.Size-b.at {
		return errors.Join(corrupt("blob %s: the registry has %d bytes, the manifest says %d", b.d.Digest, length+b.at, b.d.Size), resp.Body.Close())
	}
	b.body = resp.Body
	return nil
}

func (b *remoteBlob) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.at += int64(n)
	if err == nil || b.at >= b.d.Size || b.ctx.Err() != nil || b.resumes == maxResumes {
		return n, err
	}
	b.resumes++
	b.body.Close() // broken anyway
	if resumeErr := b.open(); resumeErr != nil {
		b.body = http.NoBody
		return n, fmt.Errorf("%w (and taking it up again: %w)", unexpected(err), resumeErr)
	}
	return n, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (b *remoteBlob) Close() error {
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

// unknownCall tells whether a registry does not know what it was asked: older
// ones know no referrers.
func unknownCall(err error) bool {
	var status *transport.Error
	return errors.As(err, &status) && slices.Contains([]int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotImplemented}, status.StatusCode)
}

// explain says what to do about an error of the registry.
func explain(ref name.Reference, err error) error {
	host := hostOf(ref)
	var status *transport.Error
	var network net.Error
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("registry %s has a certificate that this machine does not know the issuer of; name the file of its issuer's as \"ca\" in registries.json: %w", host, err)
	case errors.As(err, &status):
		return explainStatus(ref, host, status)
	case errors.Is(err, errPlainHTTP), errors.Is(err, context.Canceled):
		return fmt.Errorf("registry %s: %w", host, err)
	case errors.As(err, &network):
		return fmt.Errorf("registry %s does not answer; is its name right, is it running, is this machine online? %w", host, err)
	}
	return fmt.Errorf("registry %s: %w", host, err)
}

func explainStatus(ref name.Reference, host string, status *transport.Error) error {
	what := people(ref.Name())
	switch status.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: log in with \"docker login %s\" (or \"podman login\"), or check the name, a repository that does not exist is refused as well: %w: %w", what, host, status, ErrUnauthorized)
	case http.StatusNotFound:
		return fmt.Errorf("%s: %s has no such image; check the spelling of repository and tag: %w: %w", what, host, status, ErrNotFound)
	case http.StatusTooManyRequests:
		return fmt.Errorf("%s: %s limits how much may be pulled; wait, or log in with \"docker login %s\" for a higher limit: %w", what, host, host, status)
	}
	if status.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s: %s has a fault of its own, try again later: %w", what, host, status)
	}
	return fmt.Errorf("%s: %w", what, status)
}
