package audit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A history is all that the log's tables hold, in the hands of somebody who
// can write them as they like. A nil body is a gap.
type history struct {
	ids    []string
	bodies [][]byte
	hashes []tlog.Hash
	heads  []audit.Head
}

func readHistory(t testing.TB, l *ledger) *history {
	t.Helper()
	h := &history{}
	if err := l.write.Select(&h.ids, `SELECT entry_id FROM audit_entry ORDER BY idx`); err != nil {
		t.Fatal(err)
	}
	if err := l.write.Select(&h.bodies, `SELECT body FROM audit_entry ORDER BY idx`); err != nil {
		t.Fatal(err)
	}
	var hashes [][]byte
	if err := l.write.Select(&hashes, `SELECT h FROM audit_hash ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	for _, b := range hashes {
		h.hashes = append(h.hashes, tlog.Hash(b))
	}
	var heads []struct {
		Size int64
		Root []byte
		Note []byte
	}
	if err := l.write.Select(&heads, `SELECT size, root, note FROM audit_checkpoint ORDER BY size`); err != nil {
		t.Fatal(err)
	}
	for _, x := range heads {
		h.heads = append(h.heads, audit.Head{Size: x.Size, Root: tlog.Hash(x.Root), Note: x.Note})
	}
	return h
}

// write puts the history into the tables, whatever stands there.
func (h *history) write(t testing.TB, l *ledger) {
	t.Helper()
	l.tamper(t, `DELETE FROM audit_cosig`, `DELETE FROM audit_stamp`, `DELETE FROM audit_checkpoint`, `DELETE FROM audit_hash`, `DELETE FROM audit_entry`)
	tx := l.write.MustBegin()
	var entries, hashes, heads [][]any
	for i, body := range h.bodies {
		if body != nil {
			entries = append(entries, []any{i, h.ids[i], body})
		}
	}
	for i, x := range h.hashes {
		hashes = append(hashes, []any{i, x[:]})
	}
	for _, x := range h.heads {
		heads = append(heads, []any{x.Size, x.Root[:], x.Note, 0})
	}
	insert(tx, `INSERT INTO audit_entry (idx, entry_id, body) VALUES `, entries)
	insert(tx, `INSERT INTO audit_hash (id, h) VALUES `, hashes)
	insert(tx, `INSERT INTO audit_checkpoint (size, root, note, at) VALUES `, heads)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// insert puts all rows into a table by few statements.
func insert(tx *sqlx.Tx, statement string, rows [][]any) {
	for some := range slices.Chunk(rows, 1000) {
		places := "(?" + strings.Repeat(", ?", len(some[0])-1) + ")"
		tx.MustExec(statement+places+strings.Repeat(", "+places, len(some)-1), slices.Concat(some...)...)
	}
}

func (h *history) clone() *history {
	return &history{ids: slices.Clone(h.ids), bodies: slices.Clone(h.bodies), hashes: slices.Clone(h.hashes), heads: slices.Clone(h.heads)}
}

// ReadHashes implements [tlog.HashReader].
func (h *history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h.hashes[x]
	}
	return out, nil
}

// modify changes what entry i says, as somebody would who knows the format.
func (h *history) modify(i int) {
	h.bodies[i] = bytes.Replace(h.bodies[i], []byte("2026"), []byte("2025"), 1)
}

func (h *history) remove(i int) {
	h.ids, h.bodies = slices.Delete(h.ids, i, i+1), slices.Delete(h.bodies, i, i+1)
}

// truncate forgets the newest entries, with all that was made of them.
func (h *history) truncate(size int64) {
	h.ids, h.bodies, h.hashes = h.ids[:size], h.bodies[:size], h.hashes[:tlog.StoredHashCount(size)]
	h.heads = slices.DeleteFunc(h.heads, func(x audit.Head) bool { return x.Size > size })
}

// recompute makes hashes and roots fit the entries. Without signers the notes
// stay what they were: nobody can sign new ones.
func (h *history) recompute(t testing.TB, signers ...note.Signer) {
	t.Helper()
	h.hashes = h.hashes[:0]
	for i, body := range h.bodies {
		made, err := tlog.StoredHashes(int64(i), body, h)
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, made...)
	}
	size := int64(len(h.bodies))
	for i := range h.heads {
		x := &h.heads[i]
		if i == len(h.heads)-1 || x.Size > size { // the newest has to cover what there is
			x.Size = size
		}
		var err error
		if x.Root, err = tlog.TreeHash(x.Size, h); err != nil {
			t.Fatal(err)
		}
		if len(signers) == 0 {
			continue
		}
		if x.Note, err = note.Sign(&note.Note{Text: proof.FormatHead("log.example/lethe", x.Size, x.Root)}, signers...); err != nil {
			t.Fatal(err)
		}
	}
}
