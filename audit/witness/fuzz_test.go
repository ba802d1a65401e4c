package witness_test

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/witness"
)

// A body has one spelling: what is read is formatted as it was.
func FuzzRequest(f *testing.F) {
	log := newTree(f, 1, 64, noFork)
	f.Add(log.ask(0, 3))
	f.Add(log.ask(40, 64))
	f.Add(body(7, make(tlog.TreeProof, 63), nil))
	f.Add([]byte("old 0\n\n"))
	f.Add([]byte("old 00\n\n"))
	f.Add(replace(log.ask(40, 64), "=\n", "=\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		again, err := witness.Reparse(text)
		if err == nil && !bytes.Equal(again, text) {
			t.Errorf("read %q, formatted %q", text, again)
		}
	})
}

// The first lines of a checkpoint have one spelling, and the rest is what the
// note package would verify.
func FuzzHead(f *testing.F) {
	log := newTree(f, 1, 64, noFork)
	f.Add(log.head(0))
	f.Add(log.head(64))
	f.Add(log.sign("o\n1\n" + log.root(1).String() + "\nextension\n"))
	f.Add(log.sign("o\n01\n" + log.root(1).String() + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		origin, size, root, signed, err := witness.ReparseHead(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(signed, origin+"\n"+strconv.FormatInt(size, 10)+"\n"+root+"\n") || strings.ContainsAny(signed, "\r\t\x00") {
			t.Errorf("read %q as %s, %d, %s", text, origin, size, root)
		}
		_, err = note.Open(text, note.VerifierList(log.verifyKey()))
		_, invalid := errors.AsType[*note.InvalidSignatureError](err)
		unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
		switch {
		case err == nil || invalid:
		case !ok:
			t.Errorf("the note package refuses %q: %v", text, err)
		case unverified.Note.Text != signed:
			t.Errorf("the note package reads %q, we %q", unverified.Note.Text, signed)
		}
	})
}
