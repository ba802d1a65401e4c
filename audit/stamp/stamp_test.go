package stamp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/audit/stamp"
)

var _ audit.Stamper = (*stamp.Authority)(nil)

func TestAHeadIsStamped(t *testing.T) {
	a := newTSA(t, nil)
	authority := newAuthority(t, a.serve(t, flaw{}), a.roots(t))
	before := time.Now().Add(-time.Second)
	token, err := authority.Stamp(t.Context(), []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	at, err := stamp.Check(token, []byte(head), a.roots(t))
	if err != nil || at.Before(before) || at.After(time.Now()) || at.Location() != time.UTC {
		t.Errorf("stamped at %v, %v", at, err)
	}
	if name := authority.Name(); !strings.HasPrefix(name, "127.0.0.1:") {
		t.Errorf("the authority's name is %s", name)
	}

	// Others understand it.
	dir := t.TempDir()
	write(t, dir, "token", token)
	write(t, dir, "head", []byte(head))
	write(t, dir, "root.pem", a.rootPEM())
	if out := openssl(t, dir, "ts", "-verify", "-in", "token", "-token_in", "-data", "head", "-CAfile", "root.pem"); !bytes.Contains(out, []byte("Verification: OK")) {
		t.Errorf("openssl says %s", out)
	}
}

func TestAStampOfAnotherImplementationIsTaken(t *testing.T) {
	dir := t.TempDir()
	a := newTSA(t, nil)
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write(t, dir, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	for name, more := range map[string]string{
		"whole seconds":          "",
		"fractions of a second":  "clock_precision_digits = 3\n",
		"the certificate, chain": "ess_cert_id_chain = yes\n",
		"ESSCertID of RFC 2634":  "ess_cert_id_alg = sha1\n",
	} {
		write(t, dir, "tsa.cnf", []byte(`[tsa]
default_tsa = this
[this]
serial = serial
crypto_device = builtin
signer_cert = cert.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
`+more))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query, _ := io.ReadAll(r.Body)
			write(t, dir, "query", query)
			openssl(t, dir, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
			reply, _ := os.ReadFile(filepath.Join(dir, "reply"))
			w.Write(reply)
		}))
		token, err := newAuthority(t, server.URL, a.roots(t)).Stamp(t.Context(), []byte(head))
		server.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if at, err := stamp.Check(token, []byte(head), a.roots(t)); err != nil || time.Since(at) > time.Minute {
			t.Errorf("%s: stamped at %v, %v", name, at, err)
		}
	}
}

// A refused token is given with who made it, and by default with its roots and
// the head.
type refused struct {
	tsa   *tsa
	token []byte
	roots *x509.CertPool
	text  string
}

func TestATokenThatProvesNothingIsRefused(t *testing.T) {
	a, other := newTSA(t, nil), newTSA(t, nil)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	with := func(spoil func(*x509.Certificate)) *tsa { return newTSA(t, spoil) }
	good := a.token(t, head, flaw{})
	impostor := *other // a certificate of the right name by another root
	for name, tt := range map[string]refused{
		"another head":       {tsa: a, token: good, text: head + "x"},
		"another root":       {tsa: a, token: good, roots: other.roots(t)},
		"an impostor":        {tsa: &impostor, token: impostor.token(t, head, flaw{}), roots: a.roots(t)},
		"no roots":           {tsa: a, token: good, roots: &x509.CertPool{}},
		"nothing":            {tsa: a, token: nil},
		"garbage":            {tsa: a, token: []byte("<html>not a token</html>")},
		"zeros":              {tsa: a, token: make([]byte, 1000)},
		"cut":                {tsa: a, token: good[:len(good)/2]},
		"something after it": {tsa: a, token: append(bytes.Clone(good), 0)},
		"too long":           {tsa: a, token: append(bytes.Clone(good), make([]byte, 70<<10)...)},
		"SHA-512 of the head": {tsa: a, token: a.token(t, head, flaw{stamp: func(s *timestamp.Timestamp) {
			h := crypto.SHA512.New()
			h.Write([]byte(head))
			s.HashAlgorithm, s.HashedMessage = crypto.SHA512, h.Sum(nil)
		}})},
		"a digest of no SHA":   {tsa: a, token: a.token(t, head, flaw{stamp: func(s *timestamp.Timestamp) { s.HashedMessage = s.HashedMessage[:20] }})},
		"no certificate":       {tsa: a, token: a.token(t, head, flaw{stamp: func(s *timestamp.Timestamp) { s.AddTSACertificate = false }})},
		"signed with SHA-1":    {tsa: a, token: a.token(t, head, flaw{sign: crypto.SHA1})},
		"stamped after expiry": {tsa: a, token: a.token(t, head, flaw{stamp: func(s *timestamp.Timestamp) { s.Time = s.Time.Add(2 * time.Hour) }})},
		"stamped too early":    {tsa: a, token: a.token(t, head, flaw{stamp: func(s *timestamp.Timestamp) { s.Time = s.Time.Add(-2 * time.Hour) }})},
		"expired":              spoilt(t, with(expired)),
		"any usage":            spoilt(t, with(func(c *x509.Certificate) { c.ExtraExtensions = nil })),
		"usage not critical":   spoilt(t, with(func(c *x509.Certificate) { c.ExtraExtensions = usage(t, false, timeStamping) })),
		"another usage":        spoilt(t, with(func(c *x509.Certificate) { c.ExtraExtensions = usage(t, true, codeSigning) })),
		"one usage more":       spoilt(t, with(func(c *x509.Certificate) { c.ExtraExtensions = usage(t, true, timeStamping, codeSigning) })),
		"an unknown usage":     spoilt(t, with(func(c *x509.Certificate) { c.ExtraExtensions = usage(t, true, timeStamping, []int{1, 2, 3}) })),
	} {
		roots, text := tt.roots, tt.text
		if roots == nil {
			roots = tt.tsa.roots(t)
		}
		if text == "" {
			text = head
		}
		at, err := stamp.Check(tt.token, []byte(text), roots)
		if !errors.Is(err, proof.ErrNotVerified) || !at.IsZero() {
			t.Errorf("%s: %v, %v, want ErrNotVerified", name, at, err)
		}
	}
	if _, err := stamp.Check(good, []byte(head), nil); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("with nil for roots: %v", err)
	}
}

func spoilt(t *testing.T, a *tsa) refused { return refused{tsa: a, token: a.token(t, head, flaw{})} }

// Wherever one byte of a token is changed, it no longer verifies, or says the
// same: BER leaves room beside what is signed.
func TestAChangedTokenNeverSaysAnotherTime(t *testing.T) {
	a := newTSA(t, nil)
	token := a.token(t, head, flaw{})
	want, err := stamp.Check(token, []byte(head), a.roots(t))
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := range token {
		changed := bytes.Clone(token)
		changed[i] ^= 4
		switch at, err := stamp.Check(changed, []byte(head), a.roots(t)); {
		case err == nil && !at.Equal(want):
			t.Errorf("byte %d changed: stamped at %v", i, at)
		case err == nil:
			same++
		case !errors.Is(err, proof.ErrNotVerified):
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if same > len(token)/10 {
		t.Errorf("%d of %d bytes can be changed", same, len(token))
	}
}

func TestABadReplyIsNoStamp(t *testing.T) {
	a := newTSA(t, nil)
	none := errors.New("none of the sentinels")
	rejected, err := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.SystemFailure)
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			return true
		}
	}
	say := func(text []byte) flaw { return flaw{reply: func([]byte) []byte { return text }} }
	for name, tt := range map[string]struct {
		flaw flaw
		want error
	}{
		"good":                       {flaw{}, nil},
		"another nonce":              {flaw{stamp: func(s *timestamp.Timestamp) { s.Nonce = big.NewInt(1) }}, proof.ErrNotVerified},
		"no nonce":                   {flaw{stamp: func(s *timestamp.Timestamp) { s.Nonce = nil }}, proof.ErrNotVerified},
		"another imprint":            {flaw{stamp: func(s *timestamp.Timestamp) { s.HashedMessage = make([]byte, 32) }}, proof.ErrNotVerified},
		"rejected":                   {say(rejected), stamp.ErrRejected},
		"granted with modifications": {flaw{reply: func(r []byte) []byte { return bytes.Replace(r, []byte{2, 1, 0}, []byte{2, 1, 1}, 1) }}, stamp.ErrRejected},
		"granted, without a token":   {say([]byte{0x30, 5, 0x30, 3, 2, 1, 0}), proof.ErrNotVerified},
		"garbage":                    {say([]byte("<html>canary</html>")), proof.ErrNotVerified},
		"nothing":                    {say(nil), proof.ErrNotVerified},
		"something after it":         {flaw{reply: func(r []byte) []byte { return append(r, 0) }}, proof.ErrNotVerified},
		"too long":                   {say(make([]byte, 70<<10)), none},
		"out of order":               {flaw{http: status(500)}, none},
		"a redirect":                 {flaw{http: status(302)}, none},
	} {
		token, err := newAuthority(t, a.serve(t, tt.flaw), a.roots(t)).Stamp(t.Context(), []byte(head))
		switch {
		case tt.want == nil && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want == nil:
		case err == nil || token != nil || strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: %v", name, err)
		case errors.Is(tt.want, none) && (errors.Is(err, stamp.ErrRejected) || errors.Is(err, proof.ErrNotVerified)),
			!errors.Is(tt.want, none) && !errors.Is(err, tt.want):
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestAnAuthorityThatHangsIsGivenUp(t *testing.T) {
	a := newTSA(t, nil)
	release := make(chan struct{})
	url := a.serve(t, flaw{http: func(http.ResponseWriter) bool { <-release; return true }})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newAuthority(t, url, a.roots(t)).Stamp(ctx, []byte(head)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestWhatIsNoAuthority(t *testing.T) {
	roots := newTSA(t, nil).roots(t)
	for _, url := range []string{"http://user:canary@tsa.example/", "http://tsa.example/?canary", "canary", "ftp://canary", "http://[canary"} {
		if _, err := stamp.New(url, roots, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := stamp.New("http://tsa.example", nil, nil); err == nil {
		t.Error("no roots were taken")
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: newTSA(t, nil).root.Raw})
	for _, text := range []string{"", "canary", string(cert), "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"} {
		if _, err := stamp.Roots([]byte(text)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("roots %q: %v", text, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	a := newTSA(f, nil)
	roots := a.roots(f)
	f.Add(a.token(f, head, flaw{}))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, token []byte) {
		if _, err := stamp.Check(token, []byte("another head"), roots); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("%x: %v", token, err)
		}
	})
}
