package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// bundle is how many entries a full bundle has (C2SP tlog-tiles, Log entries).
const bundle = 1 << proof.TileHeight

// An Import brings back entries that a database has lost, from a copy of the
// log: an export, a mirror, or what a server publishes. See [Log.Import].
type Import struct {
	Fetch proof.Fetch
	Write Write

	// Each is called for every entry that comes back, in their order and in the
	// transaction that brings it back, so that the rest of the database can
	// follow. It is not called before all of them are vouched for by the copy's
	// head, so it may do what cannot be undone. It may be nil.
	Each func(context.Context, *sqlx.Tx, Line) error
}

// Import appends the entries that a copy of the log has beyond the database,
// with the copy's head, as it was signed then: it signs nothing. Nothing of the
// copy is believed that its head, signed by the log's key, does not vouch for:
// the database must be its beginning, so must all that the anchors keep, and
// every entry must be well formed and hash to the head's root. It returns how
// many entries came back, 0 if the copy has none that are missing.
//
// The database is changed in one transaction, in which the copy is read, so
// nobody else should have to write meanwhile. Then the log is guarded anew; the
// error is that of [Log.Guard] if it still refuses to append. A copy that is
// not enough wraps [ErrBehind], and says what is missing; one that contradicts
// the log or an anchor proof.ErrDiverged; one that is not this log, or does not
// agree with its own head, proof.ErrNotVerified. After an error the database is
// as it was.
//
// On PostgreSQL the head row moves with the entries, so a sequencer elsewhere
// that reads where the log stood before is held off.
func (l *Log) Import(ctx context.Context, o Import) (n int64, err error) {
	vouched := false
	if err := l.imports(ctx, o, &n, &vouched); err != nil {
		return 0, fmt.Errorf("import log: %w", err)
	}
	if vouched {
		l.restored.Store(false)
	}
	return n, l.Guard(ctx)
}

func (l *Log) imports(ctx context.Context, o Import, n *int64, vouched *bool) error {
	if l.closed {
		return ErrSucceeded
	}
	text, err := o.Fetch("checkpoint")
	if err != nil {
		return fmt.Errorf("read the copy's head: %w", err)
	}
	keys, err := l.chain(ctx, l.db)
	if err != nil {
		return err
	}
	copied, err := proof.OpenHead(text, l.believed(keys))
	if err != nil {
		return fmt.Errorf("the copy's head: %w", err)
	}
	if copied.Origin != l.origin {
		return fmt.Errorf("%w: the copy is of another log", proof.ErrNotVerified)
	}
	if err := l.enough(ctx, o.Fetch, copied, keys); err != nil {
		return err
	}
	return o.Write(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := l.durable(ctx, tx); err != nil {
			return err
		}
		if err := l.claim(ctx, tx); err != nil {
			return err
		}
		now, _, err := l.sound(ctx, tx)
		if err != nil {
			return fmt.Errorf("the database itself, which an import cannot mend: %w", err)
		}
		if now.Size >= copied.Size {
			*vouched = now.Size == copied.Size
			return l.extends(ctx, tx, now, copied, "the copy")
		}
		*vouched = true
		if err := follows(o.Fetch, copied, now, "the database"); err != nil {
			return err
		}
		*n = copied.Size - now.Size
		return l.fetchInto(ctx, tx, o, now.Size, copied)
	})
}

// enough makes sure that a copy has all that the anchors say the log had.
func (l *Log) enough(ctx context.Context, fetch proof.Fetch, copied proof.Head, keys *chain) error {
	var faults error
	for _, p := range l.kept(ctx) {
		if p.err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUnread, p.anchor, p.err)
		}
		kept, err := proof.OpenHead(p.head, l.believed(keys))
		if err != nil || kept.Origin != l.origin {
			continue // the guard has its say on it
		}
		if kept.Size > copied.Size {
			err = fmt.Errorf("%w: the head kept at %s has %d entries, the copy %d: %s still missing", ErrBehind, p.anchor, kept.Size, copied.Size, span(copied.Size, kept.Size))
		} else {
			err = follows(fetch, copied, kept, "the head kept at "+p.anchor)
		}
		faults = errors.Join(faults, err)
	}
	return faults
}

// follows makes sure that a copy is a continuation of a head.
func follows(fetch proof.Fetch, copied, old proof.Head, what string) error {
	if old.Size == 0 {
		return nil
	}
	if err := proof.ConsistentByTiles(old, copied, fetch); err != nil {
		return fmt.Errorf("the copy and %s: %w", what, err)
	}
	return nil
}

// fetchInto appends the copy's entries from index from on, and its head.
func (l *Log) fetchInto(ctx context.Context, tx *sqlx.Tx, o Import, from int64, copied proof.Head) error {
	if err := l.begin(ctx, tx); err != nil {
		return err
	}
	hashes := l.reader(ctx, tx)
	for at := from; at < copied.Size; {
		bodies, err := fetchBundle(o.Fetch, at/bundle, copied.Size)
		if err != nil {
			return err
		}
		lines, err := l.admit(at, bodies[at%bundle:])
		if err != nil {
			return err
		}
		if err := l.insert(ctx, tx, at, lines, hashes); err != nil {
			return err
		}
		at += int64(len(lines))
	}
	root, err := tlog.TreeHash(copied.Size, hashes)
	if err != nil {
		return err
	}
	if root != copied.Root {
		return fmt.Errorf("%w: the copy's entries do not give the root of its head, size %d", proof.ErrNotVerified, copied.Size)
	}
	if err := l.keepHead(ctx, tx, copied); err != nil {
		return err
	}
	_, _, err = l.trusted(ctx, tx, hashes) // the entries may say more of the keys
	if err != nil || o.Each == nil {
		return err
	}
	return l.retell(ctx, tx, o, from, copied.Size)
}

// retell tells those who follow the import of the entries that it has stored.
func (l *Log) retell(ctx context.Context, tx *sqlx.Tx, o Import, from, to int64) error {
	for at := from; at < to; {
		bodies, err := l.bodies(ctx, tx, at, min(bundle, to-at))
		if err != nil {
			return err
		}
		for _, body := range bodies {
			e, err := proof.Decode(body)
			if err == nil {
				err = o.Each(ctx, tx, Line{Index: at, Entry: e})
			}
			if err != nil {
				return fmt.Errorf("follow entry %d: %w", at, err)
			}
			at++
		}
	}
	return nil
}

// admit reads entries strictly.
func (l *Log) admit(at int64, bodies [][]byte) ([]line, error) {
	lines := make([]line, len(bodies))
	for i, body := range bodies {
		e, err := proof.Decode(body)
		if err == nil && e.Head().Origin != l.origin {
			err = errors.New("made for another log")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the copy's entry %d: %w", proof.ErrNotVerified, at+int64(i), err)
		}
		lines[i] = line{id: e.ID(), body: body}
	}
	return lines, nil
}

// keepHead stores a head with the signatures that it came with.
func (l *Log) keepHead(ctx context.Context, tx *sqlx.Tx, h proof.Head) error {
	at := h.At
	if at.IsZero() {
		at = l.now()
	}
	_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_checkpoint (size, root, note, at) VALUES (?, ?, ?, ?)`), l.base+h.Size, h.Root[:], h.Note, at.Unix())
	if err != nil {
		return fmt.Errorf("store head of size %d: %w", h.Size, err)
	}
	return nil
}

// fetchBundle returns the entries of bundle n of a log of a size. The partial
// bundle may be gone once the full one is there.
func fetchBundle(fetch proof.Fetch, n, size int64) ([][]byte, error) {
	t := tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, N: n, W: int(min(bundle, size-n*bundle))}
	b, err := fetch(proof.TilePath(t))
	if errors.Is(err, fs.ErrNotExist) && t.W < bundle {
		b, err = fetch(proof.TilePath(tlog.Tile{H: t.H, L: t.L, N: t.N, W: bundle}))
	}
	if err != nil {
		return nil, fmt.Errorf("read the copy's entries: %w", err)
	}
	bodies := make([][]byte, t.W)
	for i := range bodies {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("%w: the copy's bundle %d is cut short", proof.ErrNotVerified, n)
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		bodies[i], b = b[2:end], b[end:]
	}
	return bodies, nil
}
