package stamp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"lethe/audit/stamp"
)

const head = "log.example/lethe\n40\nIDj2GPw7mK+lp/TI5luGR4YKljEA/apHyjaiODaieZE=\n\n— log.example/lethe AAAA\n"

// A tsa is a time stamping authority with a root of its own.
type tsa struct {
	root, cert *x509.Certificate
	key        *ecdsa.PrivateKey
}

// A flaw is what a test authority does wrong.
type flaw struct {
	stamp func(*timestamp.Timestamp)       // of its tokens
	reply func(reply []byte) []byte        // of its replies
	sign  crypto.SignerOpts                // else SHA-256
	http  func(w http.ResponseWriter) bool // of its server; reports whether that is all
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCert(t testing.TB, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// usage is the extended key usage extension with these purposes.
func usage(t testing.TB, critical bool, purposes ...asn1.ObjectIdentifier) []pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(purposes)
	if err != nil {
		t.Fatal(err)
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: value}}
}

var (
	timeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	codeSigning  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
)

func newTSA(t testing.TB, spoil func(*x509.Certificate)) *tsa {
	t.Helper()
	now := time.Now()
	rootKey, key := newKey(t), newKey(t)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	root = newCert(t, root, root, rootKey, rootKey)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "stamps"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtraExtensions: usage(t, true, timeStamping),
	}
	if spoil != nil {
		spoil(leaf)
	}
	return &tsa{root: root, cert: newCert(t, leaf, root, key, rootKey), key: key}
}

func (a *tsa) rootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

func (a *tsa) roots(t testing.TB) *x509.CertPool {
	t.Helper()
	pool, err := stamp.Roots(a.rootPEM())
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// token stamps a text, without being asked.
func (a *tsa) token(t testing.TB, text string, f flaw) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(text))
	reply, err := a.reply(&timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: digest[:]}, f)
	if err != nil {
		t.Fatal(err)
	}
	var parts struct{ Status, Token asn1.RawValue }
	if _, err := asn1.Unmarshal(reply, &parts); err != nil {
		t.Fatal(err)
	}
	return parts.Token.FullBytes
}

func (a *tsa) reply(stamped *timestamp.Timestamp, f flaw) ([]byte, error) {
	stamped.Time, stamped.Policy, stamped.AddTSACertificate = time.Now().UTC().Truncate(time.Second), asn1.ObjectIdentifier{1, 2, 3, 4}, true
	if f.stamp != nil {
		f.stamp(stamped)
	}
	opts := f.sign
	if opts == nil {
		opts = crypto.SHA256
	}
	return stamped.CreateResponseWithOpts(a.cert, a.key, opts)
}

// serve answers queries as RFC 3161 asks, but for the flaw.
func (a *tsa) serve(t testing.TB, f flaw) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.http != nil && f.http(w) {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			t.Errorf("a query of type %q, %v", r.Header.Get("Content-Type"), err)
		}
		query, err := timestamp.ParseRequest(body)
		if err != nil || !query.Certificates || query.Nonce == nil {
			t.Errorf("the query does not ask for certificates with a nonce: %v", err)
			return
		}
		reply, err := a.reply(&timestamp.Timestamp{HashAlgorithm: query.HashAlgorithm, HashedMessage: query.HashedMessage, Nonce: query.Nonce}, f)
		if err != nil {
			t.Error(err)
		}
		if f.reply != nil {
			reply = f.reply(reply)
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		w.Write(reply)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func newAuthority(t testing.TB, url string, roots *x509.CertPool) *stamp.Authority {
	t.Helper()
	a, err := stamp.New(url, roots, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// openssl runs the other implementation that tokens must please.
func openssl(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not there: run .ci/need openssl (apt-get install openssl)")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return out
}

func write(t testing.TB, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
