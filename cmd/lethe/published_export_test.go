package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// A copy that looks good and proves nothing is found out when it is too late.
func TestAnExportOfChangedTilesIsRefused(t *testing.T) {
	_, honest := newLog(t, 700)
	for _, path := range []string{"tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/000", "none"} {
		for what, change := range map[string]func([]byte) []byte{
			"one bit":     func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"a byte more": func(b []byte) []byte { return append(b, 0) },
		} {
			p := &publishedLog{keys: honest.keys, fetch: func(name string) ([]byte, error) {
				b, err := honest.fetch(name)
				if err == nil && name == path {
					b = change(bytes.Clone(b))
				}
				return b, err
			}}
			if err := p.Export(t.Context(), t.TempDir()); errors.Is(err, proof.ErrNotVerified) != (path != "none") {
				t.Errorf("%s, %s: %v", path, what, err)
			}
		}
	}
}

func TestAPinThatIsNotThereIsSaid(t *testing.T) {
	var talk bytes.Buffer
	c := &console{stderr: &talk}
	_, p := newLog(t, 1)
	file := filepath.Join(t.TempDir(), "head")
	cmd := logCheckCommand(c)
	cmd.SetContext(t.Context())
	if head, err := c.pinned(cmd, p, file); err != nil || len(head) == 0 || !strings.Contains(talk.String(), "nothing was compared") {
		t.Errorf("%d bytes, %v, says %q", len(head), err, &talk)
	}
}
