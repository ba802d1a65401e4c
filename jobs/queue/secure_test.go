package queue_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

// An authority signs certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), pool: x509.NewCertPool()}
	a.cert, a.key = a.sign(t, "ca", true)
	a.pool.AddCert(a.cert)
	return a
}

// sign makes a certificate for a name, and its files.
func (a *authority) sign(t *testing.T, name string, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestRedisOverTLS(t *testing.T) {
	a := newAuthority(t)
	a.sign(t, "redis.test", false)
	a.sign(t, "lethe.test", false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	file := func(name string) string { return filepath.Join(a.dir, name) }
	queuetest.Redis(t, "--port", "0", "--tls-port", port, "--tls-cert-file", file("redis.test.pem"), "--tls-key-file", file("redis.test.key"),
		"--tls-ca-cert-file", file("ca.pem"), "--tls-auth-clients", "yes", "--requirepass", "hunter22")
	own, err := tls.LoadX509KeyPair(file("lethe.test.pem"), file("lethe.test.key"))
	if err != nil {
		t.Fatal(err)
	}
	stranger := newAuthority(t)
	stranger.sign(t, "lethe.test", false)
	theirs, err := tls.LoadX509KeyPair(filepath.Join(stranger.dir, "lethe.test.pem"), filepath.Join(stranger.dir, "lethe.test.key"))
	if err != nil {
		t.Fatal(err)
	}
	url := "rediss://:hunter22@127.0.0.1:" + port
	good := &tls.Config{RootCAs: a.pool, ServerName: "redis.test", Certificates: []tls.Certificate{own}}
	q := open(t, queue.Options{URL: url, TLS: good})
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
	if f, err := q.Facts(t.Context()); err != nil || !f.TLS || !f.Password {
		t.Errorf("facts: %+v, %v", f, err)
	}
	for name, o := range map[string]queue.Options{
		"unknown authority":    {URL: url, TLS: &tls.Config{ServerName: "redis.test", Certificates: []tls.Certificate{own}}},
		"another name":         {URL: url, TLS: &tls.Config{RootCAs: a.pool, ServerName: "other.test", Certificates: []tls.Certificate{own}}},
		"the URL's name":       {URL: url, TLS: &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{own}}},
		"no certificate":       {URL: url, TLS: &tls.Config{RootCAs: a.pool, ServerName: "redis.test"}},
		"another's":            {URL: url, TLS: &tls.Config{RootCAs: a.pool, ServerName: "redis.test", Certificates: []tls.Certificate{theirs}}},
		"in the clear":         {URL: strings.Replace(url, "rediss", "redis", 1)},
		"TLS for a plain link": {URL: strings.Replace(url, "rediss", "redis", 1), TLS: good},
	} {
		q, err := queue.Open(t.Context(), o)
		if err == nil {
			q.Close()
			t.Errorf("%s: opened", name)
		} else if strings.Contains(err.Error(), "hunter") || name == "TLS for a plain link" && !errors.Is(err, queue.ErrURL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
