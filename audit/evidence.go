package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

// nearby is how many cosignatures are looked at to choose a head.
const nearby = 1000

// cosign has a witness cosign a head, and stores what it signed.
func (p *Publisher) cosign(ctx context.Context, w Witness, h proof.Head) error {
	lines, err := w.Cosign(ctx, h.Note, p.Log.ConsistencyProof)
	if err != nil {
		return err
	}
	sigs, err := parseCosignatures(lines)
	if err != nil {
		return err
	}
	return p.Write(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		for _, s := range sigs {
			size := p.Log.base + h.Size
			_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_cosig (size, key, line, at) SELECT ?, ?, ?, ?
				WHERE NOT EXISTS (SELECT 1 FROM audit_cosig WHERE size = ? AND key = ?)`), size, s.key, s.line, s.at, size, s.key)
			if err != nil {
				return fmt.Errorf("store cosignature: %w", err)
			}
		}
		return nil
	})
}

// A cosignature is a signature line of a witness.
type cosignature struct {
	key, line string // the key as name+hash, the line without its end
	at        int64  // Unix seconds
}

// parseCosignatures reads signature lines (C2SP tlog-cosignature, Format). They
// have been verified by whoever knows the key.
func parseCosignatures(lines []byte) ([]cosignature, error) {
	var sigs []cosignature
	for line := range strings.Lines(string(lines)) {
		line = strings.TrimSuffix(line, "\n")
		rest, ok := strings.CutPrefix(line, "— ")
		name, b64, found := strings.Cut(rest, " ")
		b, err := base64.StdEncoding.Strict().DecodeString(b64)
		if !ok || !found || err != nil || len(b) < 12 {
			return nil, errors.New("a cosignature is malformed")
		}
		at := binary.BigEndian.Uint64(b[4:])
		sigs = append(sigs, cosignature{fmt.Sprintf("%s+%x", name, b[:4]), line, int64(at)}) //nolint:gosec // verified, so below 2^63
	}
	if len(sigs) == 0 {
		return nil, errors.New("no cosignature was returned")
	}
	return sigs, nil
}

// stamp has an authority time stamp a head, and stores the token.
func (p *Publisher) stamp(ctx context.Context, s Stamper, h proof.Head) error {
	token, err := s.Stamp(ctx, h.Note)
	if err != nil {
		return err
	}
	return p.Write(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO audit_stamp (size, authority, token, at) VALUES (?, ?, ?, ?)`),
			p.Log.base+h.Size, s.Name(), token, p.Log.now().Unix())
		if err != nil {
			return fmt.Errorf("store time stamp: %w", err)
		}
		return nil
	})
}

// A Stamp is a time stamp that an authority gave for a head of the log.
type Stamp struct {
	Authority string
	Size      int64  // of the head
	Head      []byte // the checkpoint, byte for byte what was stamped
	Token     []byte // RFC 3161, DER
}

// Stamps returns the time stamps that the log has got, the oldest first.
func (l *Log) Stamps(ctx context.Context) ([]Stamp, error) {
	var all []Stamp
	err := l.db.SelectContext(ctx, &all, l.db.Rebind(`SELECT s.authority AS authority, s.size AS size, c.note AS head, s.token AS token
		FROM audit_stamp s JOIN audit_checkpoint c ON c.size = s.size WHERE s.size > ? AND s.size < ? ORDER BY s.size, s.authority`), l.base, l.end())
	if err != nil {
		return nil, fmt.Errorf("read time stamps: %w", err)
	}
	for i := range all {
		all[i].Size -= l.base
	}
	return all, nil
}

// stampDue reports whether the last time stamp of an authority is old enough
// for another one, and of another head.
func (p *Publisher) stampDue(ctx context.Context, s Stamper, h proof.Head) (bool, error) {
	var size, at int64
	row := p.Log.db.QueryRowxContext(ctx, p.Log.db.Rebind(`SELECT coalesce(max(size), 0), coalesce(max(at), 0) FROM audit_stamp WHERE authority = ? AND size > ? AND size < ?`),
		s.Name(), p.Log.base, p.Log.end())
	if err := row.Scan(&size, &at); err != nil {
		return false, fmt.Errorf("read time stamps: %w", err)
	}
	every := or(p.StampEvery, stampEvery)
	return size < p.Log.base+h.Size && p.Log.now().Unix()-at >= int64(every.Seconds()), nil
}

// witnessed returns the size of the head that the certificate of an entry is
// cut for: of those that cover it, the first that has the most cosignatures.
// Only the 1000 next cosignatures are looked at, so that this takes no longer
// for an old entry. It is 0 if none is cosigned.
func (l *Log) witnessed(ctx context.Context, idx int64) (int64, error) {
	var sizes []int64
	err := l.db.SelectContext(ctx, &sizes, l.db.Rebind(`SELECT size FROM (SELECT size FROM audit_cosig WHERE size > ? AND size < ? ORDER BY size LIMIT ?) AS near
		GROUP BY size ORDER BY count(*) DESC, size LIMIT 1`), l.base+idx, l.end(), nearby)
	if err != nil || len(sizes) == 0 {
		return 0, err
	}
	return sizes[0] - l.base, nil
}

// cosigned appends the cosignatures of a head to its note.
func (l *Log) cosigned(ctx context.Context, h Head) ([]byte, error) {
	var lines []string
	if err := l.db.SelectContext(ctx, &lines, l.db.Rebind(`SELECT line FROM audit_cosig WHERE size = ? ORDER BY key`), l.base+h.Size); err != nil {
		return nil, fmt.Errorf("read cosignatures: %w", err)
	}
	text := bytes.Clone(h.Note)
	for _, line := range lines {
		text = append(append(text, line...), '\n')
	}
	return text, nil
}
