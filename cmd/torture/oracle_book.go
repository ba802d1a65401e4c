//go:build torture

package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
	"lethe/jobs"
)

// log reads the log's entries themselves, computes their tree anew, and makes
// sure that it continues every head that was ever handed out and has of each
// request one entry of acceptance, one of its end, and nothing else.
func (o *oracle) log(ctx context.Context, db *records, policy *proof.Policy) {
	bodies, err := db.column(ctx, `SELECT body FROM audit_entry ORDER BY idx`)
	if err != nil {
		o.wrong("read the log: %w", err)
		return
	}
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			if n >= int64(len(hashes)) {
				return nil, fmt.Errorf("hash %d is not there yet", n)
			}
			found[i] = hashes[n]
		}
		return found, nil
	})
	kinds := map[string]int{}
	var entries []proof.Entry
	for i, body := range bodies {
		more, err := tlog.StoredHashes(int64(i), []byte(body), reader)
		if err != nil {
			o.wrong("hash entry %d: %w", i, err)
			return
		}
		hashes = append(hashes, more...)
		e, err := proof.Decode([]byte(body))
		if err != nil {
			o.wrong("entry %d: %w", i, err)
			return
		}
		kinds[e.ID()]++
		entries = append(entries, e)
	}
	o.heads(ctx, db, policy, int64(len(bodies)), reader)
	known := o.decisions(entries)
	o.sweptEntries(entries, known)
	for _, a := range o.book.asks {
		known[proof.EntryID(a.id, proof.KindAccepted)] = true
		end := proof.KindCompleted
		switch a.last.Status {
		case jobs.Cancelled:
			end = proof.KindCancelled
		case jobs.Rejected:
			end = proof.KindRejected
		}
		known[proof.EntryID(a.id, end)] = a.ended
		known[proof.EntryID(a.id, proof.KindSubjectKeyDestroyed)] = false // may be there
		if n := kinds[proof.EntryID(a.id, proof.KindAccepted)]; n != 1 {
			o.wrong("request %s has %d entries of acceptance in the log", a.id, n)
		}
		if n := kinds[proof.EntryID(a.id, end)]; a.ended && n != 1 {
			o.wrong("request %s has %d entries of its end in the log", a.id, n)
		}
	}
	for id, n := range kinds {
		if _, ok := known[id]; !ok || n != 1 {
			o.wrong("the log has %d times the entry %s, which nobody asked for", n, id)
		}
	}
}

// heads compares the tree with every head: those handed out, those stored, and
// the one pinned outside the ledger.
func (o *oracle) heads(ctx context.Context, db *records, policy *proof.Policy, size int64, reader tlog.HashReader) {
	stored, err := db.column(ctx, `SELECT note FROM audit_checkpoint ORDER BY size`)
	if err != nil {
		o.wrong("read the heads: %w", err)
	}
	for _, text := range stored {
		o.book.saw([]byte(text))
	}
	if pin, err := os.ReadFile(filepath.Join(o.dir, "data", "log.head")); err == nil {
		o.book.saw(pin)
	} else if size > 0 {
		o.wrong("the head kept outside the ledger: %w", err)
	}
	for text := range o.book.heads {
		h, err := proof.OpenHead([]byte(text), policy)
		if err != nil {
			o.wrong("a head that was handed out: %w", err)
			continue
		}
		if h.Size > size {
			o.wrong("LOG ROLLED BACK: a head of size %d was handed out, the log has %d entries", h.Size, size)
			continue
		}
		root, err := tlog.TreeHash(h.Size, reader)
		if err != nil || root != h.Root {
			o.wrong("LOG FORKED: the head of size %d that was handed out is not this log's (%v)", h.Size, err)
		}
	}
}

// ledger makes sure that the book holds what was asked, once, and nothing that
// could name anybody once a request has ended.
func (o *oracle) ledger(ctx context.Context, db *records) {
	open := o.openFiled()
	for _, a := range o.book.asks {
		if !a.ended {
			open++
		}
	}
	for _, q := range []struct {
		what, query string
		want        int
	}{
		{"requests", `SELECT count(*) FROM requests`, len(o.book.asks) + len(o.filed)},
		{"requests that have not ended", `SELECT count(*) FROM requests WHERE completed_at IS NULL`, open},
		{"ended requests with a selector", `SELECT count(*) FROM requests WHERE completed_at IS NOT NULL AND selector IS NOT NULL`, 0},
		{"batches with IDs of ended requests", `SELECT count(*) FROM batches b JOIN jobs j ON j.id = b.job JOIN requests r ON r.id = j.request WHERE r.completed_at IS NOT NULL AND b.ids IS NOT NULL`, 0},
		{"tasks of ended requests", `SELECT count(*) FROM outbox o JOIN requests r ON r.id = o.request WHERE r.completed_at IS NOT NULL`, 0},
		{"staged IDs of ended requests", `SELECT count(*) FROM staged s JOIN requests r ON r.id = s.request WHERE r.completed_at IS NOT NULL`, 0},
		{"requests whose due date is not its regime's", `SELECT count(*) FROM requests WHERE regime = 'gdpr' AND extended_at IS NULL AND (due_at - received_at) / 86400000 NOT BETWEEN 27 AND 33`, 0},
		{"batches of more than 1000", `SELECT count(*) FROM batches WHERE size > 1000`, 0},
	} {
		if n, err := db.count(ctx, q.query); err != nil {
			o.wrong("ask the ledger for %s: %w", q.what, err)
		} else if n != q.want {
			o.wrong("the ledger has %d %s, want %d", n, q.what, q.want)
		}
	}
	// A crash between the key and the commit leaves a key for an hour, of a
	// request that was never filed.
	for _, a := range o.book.asks {
		if _, err := os.Stat(filepath.Join(o.dir, "data", "keys", "seal", a.id)); a.ended && !errors.Is(err, fs.ErrNotExist) {
			o.wrong("request %s has ended, and the key that hid it is still there (%v)", a.id, err)
		}
	}
}

// roots computes the root over all batches of a request from what the ledger
// keeps of each.
func (o *oracle) roots(ctx context.Context, db *records, a *ask, want string, batches int) {
	found, err := db.column(ctx, `SELECT hex(b.leaves) || ' ' || hex(b.root) FROM batches b JOIN jobs j ON j.id = b.job WHERE j.request = ? ORDER BY j.seq, b.seq`, a.id)
	if err != nil {
		o.wrong("request %s: read receipts: %w", a.id, err)
		return
	}
	if len(found) != batches {
		o.wrong("request %s: %d batches in the ledger, %d in the certificate", a.id, len(found), batches)
	}
	var roots [][32]byte
	for _, text := range found {
		l, r, _ := strings.Cut(text, " ")
		leaves, root := unhex(l), unhex(r)
		if len(root) != 1 || proof.ReceiptRoot(leaves) != root[0] {
			o.wrong("request %s: the root of a receipt is not that of its leaves", a.id)
			return
		}
		roots = append(roots, root[0])
	}
	if proof.Digest(proof.BatchesRoot(roots)) != want {
		o.wrong("request %s: the certificate's root over the receipts is not that of the ledger's", a.id)
	}
}

func unhex(text string) (all [][32]byte) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%32 != 0 {
		return nil
	}
	for ; len(b) > 0; b = b[32:] {
		all = append(all, [32]byte(b))
	}
	return all
}

// leaves makes sure that the receipts say of each ID that was to go that it was
// erased, and that every leaf is one of these.
func (o *oracle) leaves(ctx context.Context, db *records, a *ask, in *installation, ids []string) {
	key := o.said[a.id]
	if key == "" {
		return
	}
	rows, err := db.column(ctx, `SELECT b.id || ' ' || hex(b.leaves) FROM batches b JOIN jobs j ON j.id = b.job WHERE j.request = ? AND j.store = ? ORDER BY b.seq`, a.id, in.name)
	if err != nil {
		o.wrong("request %s: read receipts: %w", a.id, err)
		return
	}
	explained := map[string]bool{}
	unknown := 0
	for _, row := range rows {
		batch, text, _ := strings.Cut(row, " ")
		known := map[[32]byte]string{}
		for _, id := range ids {
			known[proof.ReceiptLeaf([]byte(key), batch, id, 'e')] = id
		}
		for _, leaf := range unhex(text) {
			if id, ok := known[leaf]; ok {
				explained[id] = true
			} else {
				unknown++
			}
		}
	}
	if len(explained) != len(ids) || unknown > 0 {
		o.wrong("request %s, store %s: the receipts say erased of %d of %d IDs, and %d leaves are of something else", a.id, in.name, len(explained), len(ids), unknown)
	}
}

// exclusions makes sure that what cannot be reached is said: a list of memory
// IDs reaches no messages.
func (o *oracle) exclusions(a *ask, e *proof.Completed) {
	for _, s := range e.Stores {
		said := false
		for _, x := range e.Exclusions {
			said = said || x.Store == s.Name && x.Code == "unreached-messages"
		}
		if said != (len(a.ids) > 0) {
			o.wrong("request %s, store %s: the certificate says that messages were not reached: %v", a.id, s.Name, said)
		}
	}
}

// identities looks for the world's token, which is in every name and text, in
// all that the service and Redis have written, in every spelling.
func (o *oracle) identities() {
	spelled := spellings(o.world.token)
	_ = filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case d.IsDir() && strings.HasPrefix(d.Name(), "mem0-"):
			return fs.SkipDir // what stands there is the stores' own
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		o.scan(strings.TrimPrefix(path, o.dir+"/"), string(text), spelled)
		return nil
	})
	for what, text := range map[string]string{"metrics": o.said["metrics"]} {
		o.scan(what, text, spelled)
	}
	for _, a := range o.book.asks {
		for _, text := range append(a.certs, a.receipt) {
			o.scan("the certificate of "+a.id, string(text), spelled)
			if _, rest, ok := strings.Cut(string(text), "\nextra "); ok {
				line, _, _ := strings.Cut(rest, "\n")
				if plain, err := base64.StdEncoding.DecodeString(line); err == nil {
					o.scan("the entry of "+a.id, string(plain), spelled)
				}
			}
		}
	}
}

// scanWords looks for the token, in every spelling.
func (o *oracle) scanWords(where, text string, spelled map[string]string) {
	for how, s := range spelled {
		if strings.Contains(text, s) {
			o.wrong("AN IDENTITY IS IN %s, as %s", where, how)
		}
	}
}

// scan looks for the token, and for IDs of memories.
func (o *oracle) scan(where, text string, spelled map[string]string) {
	o.scanWords(where, text, spelled)
	for _, in := range o.world.stores {
		for _, t := range in.rows[:min(len(in.rows), 60)] {
			if strings.Contains(text, t.id) || strings.Contains(text, strings.ReplaceAll(t.id, "-", "")) {
				o.wrong("A MEMORY'S ID IS IN %s", where)
				return
			}
		}
	}
}

// spellings are the ways in which a text can stand in a file. The token has
// letters only, so that escaping it for a URL changes nothing.
func spellings(token string) map[string]string {
	wide := func(big bool) string {
		var b strings.Builder
		for _, c := range []byte(token) {
			if big {
				b.WriteByte(0)
			}
			b.WriteByte(c)
			if !big {
				b.WriteByte(0)
			}
		}
		return b.String()
	}
	all := map[string]string{
		"plain": token, "hex": hex.EncodeToString([]byte(token)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(token))),
		"UTF-16LE": wide(false), "UTF-16BE": wide(true),
	}
	for shift := range 3 { // what stands before it, and what may come after, is not known
		coded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + token))
		from := []int{0, 2, 3}[shift]
		all[fmt.Sprintf("base64 at %d", shift)] = coded[from : len(coded)-4]
	}
	return all
}

// metrics keeps what /metrics says, and compares what it can.
func (o *oracle) metrics(ctx context.Context, l *life) {
	text := o.scrape(ctx, l)
	o.said["metrics"] = text
	for outcome, want := range map[string]int{"accepted": len(o.book.asks), "completed": o.book.byStatus(jobs.Completed), "cancelled": o.book.byStatus(jobs.Cancelled), "rejected": o.book.byStatus(jobs.Rejected)} {
		line := fmt.Sprintf("lethe_requests_total{origin=\"cli\",outcome=%q} %d\n", outcome, want)
		if !strings.Contains(text, line) && !strings.Contains(text, strings.Replace(line, fmt.Sprintf(" %d\n", want), fmt.Sprintf(" %d.0\n", want), 1)) {
			o.wrong("metrics do not say %s", strings.TrimSpace(line))
		}
	}
}

// scrape returns what /metrics says.
func (o *oracle) scrape(ctx context.Context, l *life) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/metrics", nil)
	if err != nil {
		o.wrong("metrics: %w", err)
		return ""
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		o.wrong("metrics: %w", err)
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		o.wrong("metrics: %w", err)
	}
	return string(text)
}
