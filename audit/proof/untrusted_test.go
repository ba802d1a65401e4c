package proof_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// Who publishes a log is not trusted, nor with the reader's memory.
func TestFilesOfALogAreNoLongerThanTheyCanBe(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	l := newTree(t, 40)
	keys := parseKeys(t, vkey)
	old := open(t, l.checkpoint(t, 30, signer), keys)
	fetch := l.fetch(t, 40, signer)
	for _, more := range []int{0, 1, 32, 8192} {
		padded := func(path string) ([]byte, error) {
			b, err := fetch(path)
			if strings.HasPrefix(path, "tile/") && err == nil {
				b = append(bytes.Clone(b), make([]byte, more)...)
			}
			return b, err
		}
		_, err := proof.CheckLog(old, padded, keys)
		if more == 0 && err != nil || more > 0 && !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("tiles with %d bytes more: %v", more, err)
		}
	}

	dir := t.TempDir()
	cert := write(t, filepath.Join(dir, "c"), l.certificate(t, 3, 30, signer).Text())
	web := func(string) proof.Fetch {
		return func(string) ([]byte, error) { return make([]byte, 1<<20+1), nil }
	}
	var out bytes.Buffer
	args := []string{cert, "--key", vkey, "--log", "http://log.example/log"}
	if status := proof.RunVerify("lethe-verify", args, web, &out, &out); status != proof.ExitError || !strings.Contains(out.String(), "longer than") {
		t.Errorf("status %d\n%s", status, &out)
	}
}
