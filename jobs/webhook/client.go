package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// Limits of one try.
const (
	tryLimit    = 5 * time.Second // all in all
	answerBytes = 64 << 10
	headerBytes = 16 << 10
)

// A code says why a receiver was not told. Codes go into logs: they hold nothing
// of the URL or of the answer.
type code string

func (c code) Error() string { return string(c) }

// client makes connections only where the rules let it, and nothing else of its
// own accord: no redirects, no proxy, no compression, no connection kept.
func (r Rules) client(roots *x509.CertPool, resolver *net.Resolver) *http.Client {
	dialer := &net.Dialer{Timeout: tryLimit, Resolver: resolver, Control: r.control}
	follow := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if fault.Bug("webhook/redirects") {
		follow = nil
	}
	return &http.Client{
		CheckRedirect: follow,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: tryLimit, ResponseHeaderTimeout: tryLimit,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headerBytes,
		},
	}
}

// control sees the address that a connection is about to be made to.
func (r Rules) control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return errAddress
	}
	return r.CheckAddress(to.Addr())
}

// post makes one try. It returns nil if the receiver took the notice, which any
// status from 200 to 299 says, or a code.
func post(ctx context.Context, client *http.Client, to string, n jobs.Notice, secrets Secrets, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(n.Body))
	if err != nil {
		return code("bad_url")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Lethe")
	req.Header["webhook-id"] = []string{n.ID}
	req.Header["webhook-timestamp"] = []string{strconv.FormatInt(now.Unix(), 10)}
	if !fault.Bug("webhook/unsigned") {
		req.Header["webhook-signature"] = []string{secrets.Sign(n.ID, now, n.Body)}
	}
	resp, err := client.Do(req)
	if err != nil {
		return reason(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, answerBytes) // what it says matters to nobody
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return code("redirect")
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return code("status_" + strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// reason tells the kind of an error whose text holds the URL.
func reason(err error) error {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, errAddress):
		return code("address_refused")
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return code("timeout")
	case errors.As(err, &dns):
		return code("name_not_found")
	case errors.As(err, &cert):
		return code("certificate")
	}
	return code("connection")
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
