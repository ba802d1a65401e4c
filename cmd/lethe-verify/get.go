package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"time"

	"lethe/audit/proof"
)

const (
	getTimeout = 30 * time.Second
	maxBody    = 32 << 20 // bytes; a bundle of 256 entries has at most 16 MB
)

// fetchURL returns a Fetch for the log published at prefix.
func fetchURL(prefix string) proof.Fetch {
	return func(path string) ([]byte, error) { return get(prefix + "/" + path) }
}

// get fetches a URL by HTTP/1.0, which has neither chunks nor kept connections.
// It follows no redirects: the address of a log is given by whoever asks.
func get(address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return nil, errors.New("get: malformed URL")
	}
	conn, err := dial(u)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", u.Redacted(), err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(getTimeout)); err != nil {
		return nil, fmt.Errorf("get %s: %w", u.Redacted(), err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: lethe-verify\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return nil, fmt.Errorf("get %s: %w", u.Redacted(), err)
	}
	body, err := readResponse(conn)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", u.Redacted(), err)
	}
	return body, nil
}

func dial(u *url.URL) (net.Conn, error) {
	port := u.Port()
	d := &net.Dialer{Timeout: getTimeout}
	if u.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		return tls.DialWithDialer(d, "tcp", net.JoinHostPort(u.Hostname(), port), nil)
	}
	if port == "" {
		port = "80"
	}
	return d.Dial("tcp", net.JoinHostPort(u.Hostname(), port))
}

// readResponse returns the body of a response with status 200. A body cut
// short is no danger: no hash of it would fit.
func readResponse(r io.Reader) ([]byte, error) {
	in := bufio.NewReader(io.LimitReader(r, maxBody))
	status, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.") || len(status) < len("HTTP/1.0 200") {
		return nil, errors.New("not an HTTP response")
	}
	switch code := status[9:12]; code {
	case "200":
	case "404", "410":
		return nil, fs.ErrNotExist
	default:
		return nil, fmt.Errorf("status %q", code)
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, errors.New("the response has no body")
		}
		name, _, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Transfer-Encoding") || strings.EqualFold(name, "Content-Encoding") {
			return nil, fmt.Errorf("the server used %s, which HTTP/1.0 has not", strings.ToLower(name))
		}
		if line == "\r\n" || line == "\n" {
			return io.ReadAll(in)
		}
	}
}
