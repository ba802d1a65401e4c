package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
)

// An issuer makes certificates.
type issuer struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	a := &issuer{t: t, dir: t.TempDir()}
	a.issue("ca", true)
	return a
}

func (a *issuer) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key.
func (a *issuer) issue(name string, ca bool) {
	a.t.Helper()
	a.n++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: ca,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := c, key
	if !ca {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	if ca {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func (a *issuer) write(name string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// Strangers need a certificate that we have issued, TLS, and a token; a
// certificate that is renewed is used without a restart.
func TestStrangersAreServedOverTLSWithCertificateAndToken(t *testing.T) {
	a := newIssuer(t)
	a.issue("server", false)
	a.issue("client", false)
	data := filepath.Join(t.TempDir(), "data")
	file, token := newToken(t, data, jobs.RoleAdmin)
	c := configFor(data, queueEmbedded, configured("memories", newMem0(t, filepath.Join(t.TempDir(), "m"))))
	c.LogOrigin = "" // the first token has made the log's key
	c.Listen, c.TLS = "127.0.0.1:0", &TLSConfig{Cert: a.file("server.pem"), Key: a.file("server.key"), ClientCA: a.file("ca.pem"), Min: "1.3"}
	r := startUnasked(t, c)
	url := r.s.URL()
	at := strings.TrimPrefix(url, "https://")
	if at == url {
		t.Fatalf("served at %s, want https", url)
	}
	list := func(flags ...string) (int, string) {
		var talk bytes.Buffer
		code := run(t.Context(), append([]string{"list", "--server", url}, flags...), nil, io.Discard, &talk)
		return code, talk.String()
	}
	ca, cert, tok := []string{"--ca", a.file("ca.pem")}, []string{"--cert", a.file("client.pem"), "--cert-key", a.file("client.key")}, []string{"--token-file", file}
	flags := func(some ...[]string) (all []string) {
		for _, s := range some {
			all = append(all, s...)
		}
		return all
	}
	if code, talk := list(flags(ca, cert, tok)...); code != 0 {
		t.Errorf("with all three: status %d: %s", code, talk)
	}
	for name, some := range map[string][]string{"no authority": flags(cert, tok), "no certificate": flags(ca, tok), "no token": flags(ca, cert), "half a certificate": flags(ca, cert[:2], tok)} {
		if code, talk := list(some...); code != exitError || strings.Contains(talk, token) {
			t.Errorf("%s: status %d: %s", name, code, talk)
		}
	}
	for name, config := range map[string]*tls.Config{
		"TLS 1.2":            {MaxVersion: tls.VersionTLS12},
		"nobody's signature": {Certificates: []tls.Certificate{selfSigned(t)}},
	} {
		config.InsecureSkipVerify = true //nolint:gosec // what is tested is the server
		if err := shake(t, at, config); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	if answer, err := http.Get("http://" + at + "/healthz"); err == nil && answer.StatusCode < 400 { //nolint:noctx // a test
		t.Errorf("plain HTTP: %d", answer.StatusCode)
	}
	if n := serial(t, a, at); n != 2 {
		t.Errorf("certificate %d, want the first one of the server, 2", n)
	}
	a.issue("server", false)
	if n := serial(t, a, at); n != 4 {
		t.Errorf("certificate %d after it was renewed, want 4", n)
	}
	a.write("server.key", []byte("half of it"))
	if n := serial(t, a, at); n != 4 {
		t.Errorf("certificate %d while files do not fit together, want the one from before, 4", n)
	}
}

// startUnasked runs a service that only a client with more than an address can
// ask.
func startUnasked(t testing.TB, c Config) *running {
	t.Helper()
	s, err := openService(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, s: s, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// shake begins a connection and reads, for in TLS 1.3 a server refuses a client
// only after the client is content.
func shake(t testing.TB, at string, config *tls.Config) error {
	t.Helper()
	conn, err := tls.Dial("tcp", at, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// serial is the number of the certificate that the server shows.
func serial(t testing.TB, a *issuer, at string) int64 {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file("client.pem"), a.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	conn, err := tls.Dial("tcp", at, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	a := newIssuer(t)
	a.issue("client", false)
	pair, err := tls.LoadX509KeyPair(a.file("client.pem"), a.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
