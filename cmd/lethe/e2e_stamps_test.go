package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// openssl runs the other implementation: as the authority, and as who checks.
func openssl(t testing.TB, dir string, args ...string) string {
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
	return string(out)
}

// timeAuthority serves time stamps by openssl out of a folder of its own, in
// which cert.pem is the certificate to trust.
func timeAuthority(t testing.TB) (dir, url string) {
	t.Helper()
	dir = t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
		"-subj", "/CN=clock.example", "-addext", "extendedKeyUsage=critical,timeStamping")
	conf := "[tsa]\ndefault_tsa = this\n[this]\nserial = serial\ncrypto_device = builtin\nsigner_cert = cert.pem\nsigner_key = key.pem\n" +
		"signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\n"
	if err := os.WriteFile(filepath.Join(dir, "tsa.cnf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var one sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		query, _ := io.ReadAll(r.Body)
		if err := os.WriteFile(filepath.Join(dir, "query"), query, 0o600); err != nil {
			t.Error(err)
		}
		openssl(t, dir, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
		reply, err := os.ReadFile(filepath.Join(dir, "reply"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(reply)
	}))
	t.Cleanup(server.Close)
	return dir, server.URL
}

func TestTimeStampsOfTheLogSatisfyOtherSoftware(t *testing.T) {
	authority, url := timeAuthority(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "lethe.yaml")
	conf := "data: data\nlisten: 127.0.0.1:0\nstamps: {url: '" + url + "', roots_file: '" + filepath.Join(authority, "cert.pem") + "'}\n"
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, c, nil)
	r.forget("nora")
	stamps := func(args ...string) (int, string) {
		var out, talk bytes.Buffer
		status := run(context.Background(), append([]string{"log", "stamps"}, args...), nil, &out, &talk)
		return status, out.String() + talk.String()
	}
	evidence := filepath.Join(dir, "evidence")
	waitFor(t, "a time stamp", func() bool {
		_, said := stamps("--config", file, evidence)
		return strings.Contains(said, "was there at ")
	})
	tokens, err := filepath.Glob(filepath.Join(evidence, "*.tsr"))
	if err != nil || len(tokens) != 1 {
		t.Fatalf("%v, %v, want one time stamp", tokens, err)
	}
	head := strings.TrimSuffix(tokens[0], ".tsr") + ".checkpoint"
	said := openssl(t, authority, "ts", "-verify", "-token_in", "-in", tokens[0], "-data", head, "-CAfile", "cert.pem")
	if !strings.Contains(said, "Verification: OK") {
		t.Errorf("openssl says %s", said)
	}
	if status, said := stamps("--data", filepath.Join(dir, "data"), evidence); status != exitDone || !strings.Contains(said, "not checked") {
		t.Errorf("without a configuration: status %d\n%s", status, said)
	}
	if status, _ := stamps(evidence); status != exitUsage {
		t.Errorf("without a ledger: status %d, want %d", status, exitUsage)
	}
}
