package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
)

func TestAForkThatACommandFindsIsKept(t *testing.T) {
	private, public, err := note.GenerateKey(rand.Reader, "log.example/lethe")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := proof.ParseKeys([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	var heads [2]proof.Head
	for i := range heads {
		text, err := note.Sign(&note.Note{Text: proof.FormatHead(signer.Name(), 7, tlog.Hash{byte(i)})}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if heads[i], err = proof.OpenHead(text, policy); err != nil {
			t.Fatal(err)
		}
	}
	fork := fmt.Errorf("check pin: %w", proof.Consistent(heads[0], heads[1], nil))
	dir := t.TempDir()
	t.Chdir(dir)
	for range 2 {
		var said strings.Builder
		if status := report(&said, fork); status != exitForked || !strings.Contains(said.String(), "fork-log.example-lethe-7.evidence") {
			t.Errorf("status %d\n%s", status, &said)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v, want one file", files, err)
	}
	var out strings.Builder
	if status := proof.RunVerify("lethe verify", []string{files[0], "--key", public}, nil, &out, &out); status != proof.ExitDiverged {
		t.Errorf("the evidence: status %d\n%s", status, &out)
	}
}
