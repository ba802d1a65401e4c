package anchor_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/anchor"
)

var (
	_ audit.Anchor = (*anchor.File)(nil)
	_ audit.Anchor = (*anchor.HTTP)(nil)
	_ audit.Anchor = (*anchor.S3)(nil)
)

const canary = "canary-secret"

func head(n int) []byte {
	return fmt.Appendf(nil, "log.example/lethe\n%d\nIDj2GPw7mK+lp/TI5luGR4YKljEA/apHyjaiODaieZE=\n\n— log.example/lethe AAAABBBB\n", n)
}

func clock() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }

func file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A keeper is the other side of an anchor: it holds what is kept, and can be
// told to go wrong.
type keeper struct {
	mu       sync.Mutex
	kept     []byte
	versions int
	locked   string // retention of the newest version
	session  string // token of the newest version's writer
	deleted  bool
	fault    func(w http.ResponseWriter) // instead of an answer
	asked    int
}

func (k *keeper) setFault(f func(http.ResponseWriter)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = f
}

func (k *keeper) requests() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// broken reports whether the keeper has gone wrong for this request.
func (k *keeper) broken(w http.ResponseWriter) bool {
	k.mu.Lock()
	k.asked++
	fault := k.fault
	k.mu.Unlock()
	if fault != nil {
		fault(w)
	}
	return fault != nil
}

// httpKeeper keeps what is PUT with the right token.
func httpKeeper(t testing.TB) (*keeper, string) {
	k := &keeper{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
		case k.broken(w):
		case r.Header.Get("Authorization") != "Bearer "+canary:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			k.serve(w, r, body, func() { w.WriteHeader(http.StatusNotFound) })
		}
	}))
	t.Cleanup(server.Close)
	return k, server.URL
}

func (k *keeper) serve(w http.ResponseWriter, r *http.Request, body []byte, missing func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case r.Method == http.MethodPut:
		k.kept, k.deleted = body, false
		k.versions++
		k.session = r.Header.Get("X-Amz-Security-Token")
		k.locked = r.Header.Get("X-Amz-Object-Lock-Mode") + " " + r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date")
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case k.kept == nil:
		missing()
	default:
		w.Write(k.kept)
	}
}

// s3Keeper is a service with one bucket. It computes every signature again.
func s3Keeper(t testing.TB) (*keeper, string) {
	k := &keeper{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fail := func(status int, code string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, canary)
		}
		sum := md5.Sum(body)
		switch {
		case err != nil:
		case k.broken(w):
		case r.Header.Get("X-Amz-Content-Sha256") != digest(body) || !signed(r):
			fail(http.StatusForbidden, "SignatureDoesNotMatch")
		case !strings.HasPrefix(r.URL.Path, "/heads.example/"):
			fail(http.StatusNotFound, "NoSuchBucket")
		case r.Method == http.MethodPut && r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(sum[:]):
			fail(http.StatusBadRequest, "InvalidDigest")
		default:
			k.serve(w, r, body, func() {
				if k.deleted {
					w.Header().Set("x-amz-delete-marker", "true")
				}
				fail(http.StatusNotFound, "NoSuchKey")
			})
		}
	}))
	t.Cleanup(server.Close)
	return k, server.URL
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signed computes the signature of a request as the service's documentation
// says (Signature Version 4, canonical request).
func signed(r *http.Request) bool {
	var credential, names, signature string
	auth, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for part := range strings.SplitSeq(auth, ", ") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			names = value
		case "Signature":
			signature = value
		}
	}
	scope, found := strings.CutPrefix(credential, "AKID/")
	at := r.Header.Get("X-Amz-Date")
	if !ok || !found || scope != at[:min(8, len(at))]+"/eu-central-1/s3/aws4_request" || at != clock().Format("20060102T150405Z") {
		return false
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n"
	for name := range strings.SplitSeq(names, ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical += name + ":" + value + "\n"
	}
	for _, name := range []string{"X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date"} {
		if r.Header.Get(name) != "" && !strings.Contains(";"+names+";", ";"+strings.ToLower(name)+";") {
			return false // what the service acts on must be signed
		}
	}
	canonical += "\n" + names + "\n" + r.Header.Get("X-Amz-Content-Sha256")
	text := "AWS4-HMAC-SHA256\n" + at + "\n" + scope + "\n" + digest([]byte(canonical))
	key := []byte("AWS4" + canary)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hmac.Equal([]byte(signature), []byte(hex.EncodeToString(mac(key, text))))
}

func s3Options(t testing.TB, url string) anchor.S3Options {
	return anchor.S3Options{
		Endpoint: url, Region: "eu-central-1", Bucket: "heads.example", Key: "lethe/the-log_1.head",
		KeyIDFile: file(t, "id", "AKID"), SecretFile: file(t, "secret", canary), SessionFile: file(t, "session", canary), Now: clock,
	}
}

func newS3(t testing.TB, o anchor.S3Options) audit.Anchor {
	t.Helper()
	a, err := anchor.NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newHTTP(t testing.TB, o anchor.HTTPOptions) audit.Anchor {
	t.Helper()
	a, err := anchor.NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantClean makes sure that what was said names no secret.
func wantClean(t testing.TB, a audit.Anchor, errs ...error) {
	t.Helper()
	for _, text := range append([]string{a.Name()}, fmt.Sprint(errs)) {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is told: %s", text)
		}
	}
}

func equal(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
