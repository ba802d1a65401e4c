package check_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	check "deploycheck"
)

// secretsInPlace writes a configuration whose secret files are of a folder of the test's
// own, and makes them: /run/… becomes FOLDER/run/….
func secretsInPlace(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range check.Paths(config) {
		if !strings.HasPrefix(path, "/run/") {
			continue
		}
		text := "hunter2"
		switch name := filepath.Base(path); {
		case strings.HasSuffix(name, ".pem"), strings.HasSuffix(name, ".crt"):
			text = certificate(t)
		case name == "ledger", name == "mem0":
			text = "postgres://lethe:hunter2@postgres.example/lethe"
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "lethe.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, " /run/", " "+dir+"/run/")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// certificate is one in PEM that nobody has signed but itself.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Secrets are made once, for their readers alone, and what is there stays: a second run
// must not lock anybody out.
func TestSecretsAreMadeOnceForTheirReadersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	state := func() (all map[string]string) {
		if out, err := exec.Command(filepath.Join(repository(t), "deploy/compose/secrets"), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		all = map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			if mode := info.Mode().Perm(); os.Getuid() == 0 && mode != 0o400 || len(text) < 48 {
				t.Errorf("%s has mode %o and %d bytes", e.Name(), mode, len(text))
			}
			all[e.Name()] = string(text)
		}
		return all
	}
	first := state()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	if second := state(); len(first) < 7 || !maps.Equal(first, second) {
		t.Errorf("%d secrets, and a second run changes them", len(first))
	}
	if first["ledger-password"] == first["postgres-password"] || !strings.Contains(first["ledger"], first["ledger-password"]) || first["redis-password"] != first["queue-password"] {
		t.Error("the secrets do not fit together")
	}
}
