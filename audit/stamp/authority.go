package stamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"

	"github.com/digitorus/timestamp"

	"lethe/audit/proof"
)

const (
	// maxReply bounds what is parsed, in bytes. Tokens are of 2 to 8 KB with the
	// certificates; what the library does with nested garbage grows with the
	// square.
	maxReply   = 16 << 10
	nonceBytes = 8 // as RFC 3161, section 2.4.1 suggests
)

// ErrRejected is wrapped when the authority does not grant a time stamp.
// Whether it would another time, its operator knows.
var ErrRejected = errors.New("the authority grants no time stamp")

// An Authority is asked for time stamps over HTTP (RFC 3161, section 3.4). Its
// methods may be used concurrently.
type Authority struct {
	url, host string
	roots     *x509.CertPool
	http      *http.Client
}

// New returns the authority at an http or https URL without user and query,
// whose tokens must lead to one of roots. A nil transport means
// http.DefaultTransport. It has no time limit but the context's.
func New(address string, roots *x509.CertPool, transport http.RoundTripper) (*Authority, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		// The URL may have a password in it: do not repeat it.
		return nil, errors.New("time stamping authority must be an http or https URL without user and query")
	}
	if roots == nil {
		return nil, errors.New("time stamping authority: no root certificates")
	}
	return &Authority{
		url: u.String(), host: u.Host, roots: roots,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Roots reads certificates in PEM form. Text between them is passed over, and
// one that cannot be read is an error.
func Roots(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		n++
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("root certificates: block %d is not a certificate", n)
		}
		pool.AddCert(c)
	}
	if n == 0 {
		return nil, errors.New("root certificates: none in PEM form")
	}
	return pool, nil
}

// Name returns the host that is asked.
func (a *Authority) Name() string { return a.host }

// Stamp returns a token (DER) that says when SHA-256 of head was there,
// verified as [Check] does. An error wraps [ErrRejected], or
// proof.ErrNotVerified if the answer is no time stamp of head, or is of the
// network: ask again after that one.
func (a *Authority) Stamp(ctx context.Context, head []byte) ([]byte, error) {
	token, err := a.stamp(ctx, head)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a time stamp: %w", a.host, err)
	}
	return token, nil
}

func (a *Authority) stamp(ctx context.Context, head []byte) ([]byte, error) {
	var random [nonceBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	nonce := new(big.Int).SetBytes(random[:])
	digest := sha256.Sum256(head)
	query, err := (&timestamp.Request{
		HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Certificates: true, Nonce: nonce,
	}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("make query: %w", err)
	}
	body, err := a.post(ctx, query)
	if err != nil {
		return nil, err
	}
	token, err := granted(body)
	if err != nil {
		return nil, err
	}
	stamped, err := check(token, head, a.roots)
	if err != nil {
		return nil, err
	}
	if stamped.Nonce == nil || stamped.Nonce.Cmp(nonce) != 0 {
		return nil, fmt.Errorf("%w: the token answers another query", proof.ErrNotVerified)
	}
	return token, nil
}

func (a *Authority) post(ctx context.Context, query []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(query))
	if err != nil {
		return nil, errors.New("make request") // the error repeats the URL
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	resp, err := a.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read reply: %w", err)
	case len(body) > maxReply:
		return nil, fmt.Errorf("the reply is longer than %d bytes", maxReply)
	}
	return body, nil
}

// A reply is a TimeStampResp (RFC 3161, section 2.4.2). What the authority says
// in words is passed over.
type reply struct {
	Status struct {
		Status int
		Words  []asn1.RawValue `asn1:"optional"`
		Fail   asn1.BitString  `asn1:"optional"`
	}
	Token asn1.RawValue `asn1:"optional"`
}

// granted returns the token of a reply.
func granted(body []byte) ([]byte, error) {
	var r reply
	rest, err := asn1.Unmarshal(body, &r)
	switch {
	case err != nil || len(rest) > 0:
		return nil, fmt.Errorf("%w: the answer is not a time stamp reply", proof.ErrNotVerified)
	case r.Status.Status != 0:
		return nil, fmt.Errorf("%w: status %d", ErrRejected, r.Status.Status)
	case len(r.Token.FullBytes) == 0:
		return nil, fmt.Errorf("%w: the reply has no token", proof.ErrNotVerified)
	}
	return r.Token.FullBytes, nil
}
