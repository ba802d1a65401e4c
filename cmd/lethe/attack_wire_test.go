package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"lethe/jobs/api"
)

// wireAttacks are no calls, or two calls that look like one, or calls that never
// end. What HTTP itself forbids, the HTTP server answers before Lethe sees it.
func wireAttacks() (list []attack) {
	const (
		as     = "Authorization: Bearer {token of submitter}\r\nContent-Type: application/json\r\n"
		post   = "POST /v1/requests HTTP/1.1\r\nHost: {address}\r\n" + as
		inside = "POST /v1/requests HTTP/1.1\r\nHost: {address}\r\nContent-Length: 34\r\n\r\n{\"selector\":{\"user_id\":\"{canary}\"}}"
	)
	for _, x := range []struct{ name, raw, want string }{
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + inside, "400"},
		{"two lengths in one", post + "Content-Length: 2, 40\r\n\r\n{}" + inside, "400"},
		{"a length and chunks", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inside, "400 malformed"},
		{"chunks and a length", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + inside, "422 invalid"},
		{"an encoding that there is not", post + "Transfer-Encoding: xchunked\r\n\r\n" + inside, "501"},
		{"chunks twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inside, "501"},
		{"chunks, then identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inside, "501"},
		{"chunks after a tab", post + "Transfer-Encoding:\tchunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n" + inside, "400 malformed"},
		{"a space before the colon", post + "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}", "400"},
		{"a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "400"},
		{"a negative length", post + "Content-Length: -1\r\n\r\n{}", "400"},
		{"a length with a sign", post + "Content-Length: +2\r\n\r\n{}", "400"},
		{"a length in hex", post + "Content-Length: 0x2\r\n\r\n{}", "400"},
		{"a length beyond all numbers", post + "Content-Length: 99999999999999999999\r\n\r\n{}", "400"},
		{"a length of 1 TB", post + "Content-Length: 1099511627776\r\n\r\n{\"selector\":{\"user_id\":\"a\",\"user_id\":\"{canary}\"", "400 malformed"},
		{"a chunk whose size is no number", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "400 malformed"},
		{"a chunk beyond all numbers", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", "400 malformed"},
		{"a chunk with a long note", post + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("a", 20_000) + "\r\n{}\r\n0\r\n\r\n", "400 malformed"},
		{"a chunk of another size", post + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", "400 malformed"},
		{"a header after the body", post + "Trailer: Authorization\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer {canary}\r\n\r\n", "422 invalid"},
		{"chunks of HTTP/1.0", "POST /v1/requests HTTP/1.0\r\n" + as + "Host: {address}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 malformed"},
		{"a name with a space", post + "X {canary}: 1\r\n\r\n", "400"},
		{"a line without a colon", post + "{canary}\r\n\r\n", "400"},
		{"a value with NUL", post + "X: \x00{canary}\r\n\r\n", "400"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: {address}\r\nHost: {canary}\r\n\r\n", "400"},
		{"a host with a user", "GET /healthz HTTP/1.1\r\nHost: {address}@{canary}.example\r\n\r\n", "400"},
		{"a host that is empty", "GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", "403 host"},
		{"a host of HTTP/1.0 that is none", "GET /healthz HTTP/1.0\r\n\r\n", "403 host"},
		{"HTTP/0.9", "GET /healthz\r\n\r\n", "400"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		{"HTTP/3", "GET /healthz HTTP/3.0\r\nHost: {address}\r\n\r\n", "505"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		{"Redis", "*1\r\n$8\r\nFLUSHALL\r\n\r\n", "400"},
		{"a method with a space before it", " GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n", "400"},
		{"an escape in the line", "GET /healthz\x1b[2J{canary} HTTP/1.1\r\nHost: {address}\r\n\r\n", "400"},
		{"NUL in the line", "GET /healthz\x00{canary} HTTP/1.1\r\nHost: {address}\r\n\r\n", "400"},
		{"17 KB of line", "GET /" + strings.Repeat("{canary}", 4000) + " HTTP/1.1\r\nHost: {address}\r\n\r\n", "431"},
		{"a header of 60 KB", post + "X-A: " + strings.Repeat("a", 60_000) + "\r\nContent-Length: 2\r\n\r\n{}", "431"},
		{"a cookie of 40 KB", post + "Cookie: a=" + strings.Repeat("{canary}", 5000) + "\r\nContent-Length: 2\r\n\r\n{}", "431"},
		{"5000 headers", post + strings.Repeat("X-A: {canary}\r\n", 5000) + "Content-Length: 2\r\n\r\n{}", "431"},
		{"101 headers", post + strings.Repeat("X-A: a\r\n", 101) + "Content-Length: 2\r\n\r\n{}", "431 too_large"},
		{"101 names", post + headNames(101) + "Content-Length: 2\r\n\r\n{}", "431 too_large"},
	} {
		list = append(list, attack{name: x.name, raw: x.raw, want: x.want})
	}
	for _, x := range []struct{ name, raw, want string }{
		{"half a header", "GET /v1/requests HTTP/1.1\r\nHost: {address}\r\nX-A: {canary}", "0"},
		{"half a line", "GET /{canary}", "400"},
		{"half a body", post + "Content-Length: 100\r\n\r\n{\"selector\":", "408 too_slow"},
		{"no body", post + "Content-Length: 100\r\n\r\n", "408 too_slow"},
		{"chunks without an end", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{ \r\n", "408 too_slow"},
		{"a body that nobody asked for", "POST /v1/requests/{graced}/cancel HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token of auditor}\r\nContent-Length: 100\r\n\r\n{canary}", "403 forbidden"},
		{"a body of a stranger", "POST /v1/requests HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\n{canary}", "401 no_token"},
		{"half a form", "POST /console/sign-in HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nform={canary}", "400 page"},
	} {
		list = append(list, attack{name: "slow: " + x.name, raw: x.raw, want: x.want, slow: true})
	}
	for _, x := range []struct{ name, raw, want string }{
		{"a header", "GET /v1/requests HTTP/1.1\r\nHost: {address}\r\nX-A: {canary}" + strings.Repeat("a", 1000), "400"},
		{"a body", post + "Content-Length: 100\r\n\r\n" + strings.Repeat(" ", 40), "408 too_slow"},
	} {
		list = append(list, attack{name: "drop by drop: " + x.name, raw: x.raw, want: x.want, slow: true, drip: true})
	}
	return append(list, hostAttacks()...)
}

// hostAttacks come by a name that leads here and is not ours, or by a method that
// there is not.
func hostAttacks() (list []attack) {
	for _, host := range []string{
		"{canary}.example", "127.0.0.1.{canary}.example", "localhost.{canary}.example", "{canary}-127-0-0-1.example:80",
		"169.254.169.254", "[::ffff:10.0.0.1]", "10.0.0.1:80", "0.0.0.0", "127.0.0.1.", "2130706433", "local\u0131host", "xn--localhost-{canary}",
	} {
		want := "403 host"
		if host == "127.0.0.1." {
			continue // is 127.0.0.1
		}
		if strings.Contains(host, "\u0131") {
			want = "400"
		}
		list = append(list, attack{name: "host " + strings.ReplaceAll(host, "{canary}", "x"), by: "admin", ask: "GET /v1/requests", head: "Host: " + host + "\r\n", want: want})
	}
	list = append(list,
		attack{name: "host of the page", ask: "GET /", head: "Host: {canary}.example\r\nCookie: {cookie}\r\n", want: "403 host"},
		attack{name: "host of the metrics", by: "admin", ask: "GET /metrics", head: "Host: {canary}.example\r\n", want: "403 host"},
		attack{name: "host in the line", by: "admin", ask: "GET http://{canary}.example/v1/requests", want: "403 host"},
		attack{name: "host in a header of a proxy", ask: "GET /v1/requests", head: "X-Forwarded-Host: {canary}.example\r\n", want: "401 no_token"},
	)
	for _, x := range [][2]string{
		{"TRACE /v1/requests", "405 method"},
		{"OPTIONS /v1/requests", "405 method"},
		{"OPTIONS *", "400"},
		{"CONNECT {canary}.example:443", "403 host"},
		{"PUT /v1/requests", "405 method"},
		{"DELETE /v1/requests", "405 method"},
		{"post /v1/requests", "405 method"},
		{"{canary} /v1/requests", "405 method"},
		{"PROPFIND /v1/requests", "405 method"},
		{"POST /log/checkpoint", "405 method"},
		{"DELETE /log/tile/0/000", "405 method"},
		{"POST /healthz", "405 method"},
		{"POST /metrics", "404 not_found"},
		{"DELETE /console/holds", "404 page"},
	} {
		list = append(list, attack{name: "method " + strings.ReplaceAll(x[0], "{canary}", "x"), by: "admin", ask: x[0], want: x[1]})
	}
	return list
}

func headNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("X-" + strings.Repeat("a", i+1) + ": 1\r\n")
	}
	return b.String()
}

// A hurry makes the deadlines for reading come fifty times as soon.
type hurry struct{ net.Listener }

func (h hurry) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	return hurried{c}, err
}

type hurried struct{ net.Conn }

func (h hurried) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		at = time.Now().Add(time.Until(at) / 50)
	}
	return h.Conn.SetReadDeadline(at)
}

// hurried serves the same service at another address, for those who are slow.
func (w *target) hurried(t *testing.T) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := api.Server("127.0.0.1:0", w.s.handler(make(chan struct{})))
	go func() { _ = server.Serve(hurry{l}) }()
	t.Cleanup(func() { _ = server.Close() })
	w.slow = l.Addr().String()
}
