package proof_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"
)

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyCommand(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	l, fork := newTree(t, 40), newTree(t, 2)
	for range 38 {
		fork.append(t, encode(t, keyDestroyed()))
	}
	dir := t.TempDir()
	cert := write(t, filepath.Join(dir, "a.tlog-proof"), l.certificate(t, 3, 30, signer).Text())
	bad := write(t, filepath.Join(dir, "b.tlog-proof"), append(l.certificate(t, 3, 30, signer).Text(), '\n'))
	key := write(t, filepath.Join(dir, "log.pub"), []byte("# the log\n"+vkey+"\n"))
	subject := write(t, filepath.Join(dir, "subject.key"), []byte(strings.Repeat("07", 32)+"\n"))
	alice := write(t, filepath.Join(dir, "alice.json"), []byte("{ \"user_id\": \"alice\" }\n"))
	bob := write(t, filepath.Join(dir, "bob.json"), []byte(`{"user_id":"bob"}`))
	publish := func(l *tree, name string, size int) string {
		for _, path := range []string{"checkpoint", "tile/0/000.p/40"} {
			b, err := l.fetch(t, size, signer)(path)
			if err != nil && size == 40 {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name, path), b)
		}
		return filepath.Join(dir, name)
	}
	log, rewritten, behind := publish(l, "log", 40), publish(fork, "fork", 40), publish(l, "behind", 20)

	missing := filepath.Join(dir, "missing")
	rows := []struct {
		args   string
		status int
		says   string
	}{
		{cert + " --key " + vkey, 0, "OK      " + cert},
		{"--key=" + key + " " + cert, 0, "entry 3 of 30"},
		{"-key " + key + " -- " + cert, 0, "not that no copy exists elsewhere"},
		{cert + " --key " + key + " --subject-key " + subject + " --selector-file " + alice, 0, "matches the key and selector"},
		{cert + " --key " + key + " --subject-key " + subject + " --selector-file " + bob, 5, "not about the subject"},
		{cert + " --key " + key + " --log " + log, 0, "the log there has 40 entries"},
		{cert + " --key " + key + " --log " + rewritten, 30, "FORKED"},
		{cert + " --key " + key + " --log " + behind, 5, "fewer than"},
		{cert + " --key " + key + " --log " + missing, 1, "ERROR"},
		{cert + " --key " + key + " --log http://log.example/log", 0, "the log there has 40 entries"},
		{bad + " --key " + key, 5, "REFUSED"},
		{cert + " " + bad + " --key " + key, 5, "OK"},
		{bad + " " + missing + " --key " + key, 5, "ERROR"},
		{missing + " --key " + key, 1, "ERROR"},
		{cert + " --key " + missing, 1, "read key"},
		{cert + " --key " + cert, 1, "verifier key"},
		{cert, 2, "--key or --policy is required"},
		{"--key " + key, 2, "no file given"},
		{cert + " --key " + key + " --subject-key " + subject, 2, "goes together"},
		{cert + " --nonsense", 2, "usage"},
		{"--help", 0, "Exit status"},
	}
	web := func(url string) proof.Fetch {
		if url != "http://log.example/log" {
			t.Errorf("fetched from %s", url)
		}
		return l.fetch(t, 40, signer)
	}
	t.Chdir(dir) // where evidence goes
	for _, row := range rows {
		var stdout, stderr bytes.Buffer
		status := proof.RunVerify("lethe-verify", strings.Fields(row.args), web, &stdout, &stderr)
		if status != row.status || !strings.Contains(stdout.String()+stderr.String(), row.says) {
			t.Errorf("%s\nstatus %d, want %d with %q\n%s%s", row.args, status, row.status, row.says, &stdout, &stderr)
		}
	}
}
