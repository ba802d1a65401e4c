package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
)

// Which entries of a token the log is owed.
const (
	owedMade    = 1
	owedRevoked = 2
)

// usedEvery is how exact the time of a token's last use is: a call must not cost
// a write.
const usedEvery = time.Hour

// people keeps the tokens: in a ledger, or beside the process that serves it.
type people struct {
	read  querier
	now   func() time.Time
	write func(ctx context.Context, f func(context.Context, *txn) error) error

	// beside is set if the log is somebody else's to write: what it is to say is
	// owed then, and written by who serves the ledger before a token is good.
	beside bool
}

var _ jobs.Tokens = (*Ledger)(nil)

func (l *Ledger) people() people { return people{read: l.read, now: l.now, write: l.write} }

// Actor implements jobs.Tokens.
func (l *Ledger) Actor(ctx context.Context, token string) (jobs.Actor, error) {
	p := l.people()
	a, owed, err := p.actor(ctx, token)
	if err != nil || !owed || fault.Bug("door/unlogged-acts") {
		return a, err
	}
	if err := p.settleLog(ctx); err != nil { // nobody acts of whom the log does not know
		return jobs.Actor{}, fmt.Errorf("log tokens: %w", err)
	}
	return a, nil
}

// CreateToken implements jobs.Tokens.
func (l *Ledger) CreateToken(ctx context.Context, by jobs.Actor, o jobs.TokenOrder) (jobs.Token, string, error) {
	return l.people().create(ctx, by, o)
}

// Tokens implements jobs.Tokens.
func (l *Ledger) Tokens(ctx context.Context, by jobs.Actor) ([]jobs.Token, error) {
	return l.people().list(ctx, by)
}

// RevokeToken implements jobs.Tokens.
func (l *Ledger) RevokeToken(ctx context.Context, by jobs.Actor, id string) (jobs.Token, error) {
	return l.people().revoke(ctx, by, id)
}

// LogTokens writes the log's entries of tokens that were made or revoked beside
// the service. It is to be called again and again: it mostly has nothing to do.
func (l *Ledger) LogTokens(ctx context.Context) error {
	p := l.people()
	var owed int
	err := sqlx.GetContext(ctx, p.read, &owed, `SELECT COUNT(*) FROM tokens WHERE unlogged > 0`)
	if err == nil && owed > 0 {
		err = p.settleLog(ctx)
	}
	if err != nil {
		return fmt.Errorf("log tokens: %w", err)
	}
	return nil
}

// tokenRow is a row of tokens.
type tokenRow struct {
	ID, Name, Role string
	Hash           []byte
	CreatedAt      int64         `db:"created_at"`
	CreatedBy      string        `db:"created_by"`
	ExpiresAt      int64         `db:"expires_at"`
	RevokedAt      sql.NullInt64 `db:"revoked_at"`
	RevokedBy      string        `db:"revoked_by"`
	UsedAt         sql.NullInt64 `db:"used_at"`
	Unlogged       int
}

const tokenColumns = `SELECT id, hash, name, role, created_at, created_by, expires_at, revoked_at, revoked_by, used_at, unlogged FROM tokens `

func (r tokenRow) token() jobs.Token {
	return jobs.Token{
		ID: r.ID, Name: r.Name, Role: jobs.Role(r.Role), CreatedAt: at(r.CreatedAt), CreatedBy: r.CreatedBy,
		ExpiresAt: at(r.ExpiresAt), RevokedAt: atOrNil(r.RevokedAt), LastUsed: atOrNil(r.UsedAt),
	}
}

func (r tokenRow) created() proof.Entry {
	return &proof.TokenCreated{TokenID: r.ID, Role: r.Role, By: r.CreatedBy, CreatedAt: proof.At(at(r.CreatedAt)), ExpiresAt: proof.At(at(r.ExpiresAt))}
}

func (r tokenRow) revoked() proof.Entry {
	return &proof.TokenRevoked{TokenID: r.ID, Role: r.Role, By: r.RevokedBy, RevokedAt: proof.At(at(r.RevokedAt.Int64))}
}

// actor looks a token up by its hash. A token is 256 random bits, so its plain
// SHA-256 cannot be undone by trying, with or without a salt; and how long the
// search takes tells of the hash and nothing of the token.
func (p people) actor(ctx context.Context, token string) (a jobs.Actor, owed bool, err error) {
	if token == "" {
		return p.nobody(ctx)
	}
	if !jobs.LooksLikeToken(token) {
		return a, false, jobs.ErrUnknownToken
	}
	hash := sha256.Sum256([]byte(token))
	var r tokenRow
	err = sqlx.GetContext(ctx, p.read, &r, p.read.Rebind(tokenColumns+`WHERE hash = ?`), hash[:])
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && subtle.ConstantTimeCompare(r.Hash, hash[:]) != 1:
		return a, false, jobs.ErrUnknownToken
	case err != nil:
		return a, false, fmt.Errorf("look up token: %w", err)
	}
	t, now := r.token(), p.now()
	if fault.Bug("door/expired-lives") {
		t.ExpiresAt = now.Add(time.Hour)
	}
	if fault.Bug("door/revoked-lives") {
		t.RevokedAt = nil
	}
	if !t.Live(now) {
		return a, false, jobs.ErrUnknownToken
	}
	p.used(ctx, t, now)
	return jobs.Actor{ID: t.ID, Role: t.Role}, r.Unlogged > 0, nil
}

// nobody is ActorOpen until the first token is made. Tokens are never deleted, so
// that the door does not open again when the last of them is revoked.
func (p people) nobody(ctx context.Context) (a jobs.Actor, owed bool, err error) {
	var any bool
	ask := `SELECT EXISTS (SELECT 1 FROM tokens)`
	if fault.Bug("door/opens-again") {
		ask = `SELECT EXISTS (SELECT 1 FROM tokens WHERE revoked_at IS NULL)`
	}
	switch err := sqlx.GetContext(ctx, p.read, &any, ask); {
	case err != nil:
		return a, false, fmt.Errorf("look for tokens: %w", err)
	case any:
		return a, false, jobs.ErrUnknownToken
	}
	return jobs.ActorOpen, false, nil
}

// used notes, once an hour, that a token is in use. It need not succeed.
func (p people) used(ctx context.Context, t jobs.Token, now time.Time) {
	if t.LastUsed != nil && now.Sub(*t.LastUsed) < usedEvery {
		return
	}
	_ = p.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE tokens SET used_at = ? WHERE id = ?`), millis(now.Truncate(usedEvery)), t.ID)
		return err
	})
}

func (p people) create(ctx context.Context, by jobs.Actor, o jobs.TokenOrder) (t jobs.Token, secret string, err error) {
	if err := by.Check(jobs.ActPeople); err != nil {
		return t, "", err
	}
	if err := o.Check(); err != nil {
		return t, "", err
	}
	if o.Life == 0 {
		o.Life = jobs.TokenLife
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	secret = jobs.TokenPrefix + hex.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(secret))
	now := p.now().UTC().Truncate(time.Second)
	r := tokenRow{
		ID: newTokenID(), Name: o.Name, Role: string(o.Role), Hash: hash[:],
		CreatedAt: millis(now), CreatedBy: by.ID, ExpiresAt: millis(now.Add(o.Life)),
	}
	if p.beside {
		r.Unlogged = owedMade
	}
	err = p.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO tokens (id, hash, name, role, created_at, created_by, expires_at, unlogged) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`),
			r.ID, r.Hash, r.Name, r.Role, r.CreatedAt, r.CreatedBy, r.ExpiresAt, r.Unlogged)
		if err != nil || p.beside {
			return err
		}
		return tx.log(ctx, r.created())
	})
	if err != nil {
		return t, "", fmt.Errorf("make token: %w", err)
	}
	return r.token(), secret, nil
}

// newTokenID is random, so that it tells nothing of when and for whom.
func newTokenID() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return "tok-" + hex.EncodeToString(random[:])
}

func (p people) list(ctx context.Context, by jobs.Actor) ([]jobs.Token, error) {
	if err := by.Check(jobs.ActPeople); err != nil {
		return nil, err
	}
	var rows []tokenRow
	if err := sqlx.SelectContext(ctx, p.read, &rows, tokenColumns+`ORDER BY created_at, id`); err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	list := make([]jobs.Token, len(rows))
	for i, r := range rows {
		list[i] = r.token()
	}
	return list, nil
}

func (p people) revoke(ctx context.Context, by jobs.Actor, id string) (t jobs.Token, err error) {
	if err := by.Check(jobs.ActPeople); err != nil {
		return t, err
	}
	err = p.write(ctx, func(ctx context.Context, tx *txn) error {
		r, err := tokenByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if t = r.token(); t.RevokedAt != nil {
			return nil
		}
		now := p.now().UTC().Truncate(time.Second)
		r.RevokedAt, r.RevokedBy = sql.NullInt64{Int64: millis(now), Valid: true}, by.ID
		if p.beside {
			r.Unlogged |= owedRevoked
		} else if err := p.logOwed(ctx, tx, r); err != nil {
			return err
		} else if err := tx.log(ctx, r.revoked()); err != nil {
			return err
		} else {
			r.Unlogged = 0
		}
		t = r.token()
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE tokens SET revoked_at = ?, revoked_by = ?, unlogged = ? WHERE id = ?`),
			r.RevokedAt, r.RevokedBy, r.Unlogged, r.ID)
		return err
	})
	if err != nil {
		return jobs.Token{}, fmt.Errorf("revoke token: %w", err)
	}
	return t, nil
}

// tokenByID returns a token's row, which is the transaction's until it ends.
func tokenByID(ctx context.Context, tx *txn, id string) (r tokenRow, err error) {
	err = tx.GetContext(ctx, &r, tx.Rebind(tokenColumns+`WHERE id = ?`+tx.sql.lock), id)
	if errors.Is(err, sql.ErrNoRows) {
		err = jobs.ErrNotFound
	}
	return r, err
}

// settleLog writes what the log is owed.
func (p people) settleLog(ctx context.Context) error {
	return p.write(ctx, func(ctx context.Context, tx *txn) error {
		var rows []tokenRow
		err := tx.SelectContext(ctx, &rows, tokenColumns+`WHERE unlogged > 0 ORDER BY created_at, id`+tx.sql.lock)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := p.logOwed(ctx, tx, r); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE tokens SET unlogged = 0 WHERE id = ?`), r.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p people) logOwed(ctx context.Context, tx *txn, r tokenRow) error {
	if r.Unlogged&owedMade != 0 {
		if err := tx.log(ctx, r.created()); err != nil {
			return err
		}
	}
	if r.Unlogged&owedRevoked != 0 {
		return tx.log(ctx, r.revoked())
	}
	return nil
}
