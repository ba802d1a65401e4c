//go:build torture

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lethe/audit/audittest"
)

// sharedEvery: one of so many cases of lane kill is about two processes that
// share a ledger in PostgreSQL and a Redis.
const sharedEvery = 12

// sharedBlows is how many fall on one of the two in a case.
const sharedBlows = 4

// A database is the one PostgreSQL server of a lane, and how much it was used.
type database struct {
	once   sync.Once
	server *audittest.Server
	err    error
}

func (d *database) start() (*audittest.Server, error) {
	d.once.Do(func() { d.server, d.err = audittest.Launch() })
	return d.server, d.err
}

func (d *database) stop() {
	if d.server != nil {
		d.server.Stop()
	}
}

// schema makes one for a ledger, and returns its URL.
func (d *database) schema(ctx context.Context, name string) (string, error) {
	server, err := d.start()
	if err != nil {
		return "", err
	}
	url := server.DSN("lethe", "postgres")
	db, err := sql.Open("pgx", url)
	if err != nil {
		return "", err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE SCHEMA "+name)
	return url + "&search_path=" + name, err
}

// shared is one case: one process of two is struck, again and again, and the
// other goes on with what it was at.
func (c *kase) shared(ctx context.Context, d *database, blows []blow) error {
	url, err := d.schema(ctx, fmt.Sprintf("case_%d", c.number))
	if err != nil {
		return fmt.Errorf("make a schema: %w", err)
	}
	about := c.rng.IntN(3)
	h, b, redis, err := c.setting(ctx, story{queue: "redis", ledger: url, lives: len(blows), people: about == 0, sweeps: about == 1})
	if redis != nil {
		defer redis.close()
	}
	if err != nil {
		return err
	}
	if h.cast != nil {
		defer h.cast.ears.close()
	}
	asking, stop := context.WithCancel(ctx)
	wait := b.open(asking, h)
	defer func() { stop(); wait() }()
	late := h.lateWriter(ctx, false)
	other, err := h.start(ctx, "")
	if err != nil {
		return err
	}
	h.stand(other)
	for _, blow := range blows {
		if b.done() || c.isUp() {
			break
		}
		c.note("life %d: %s", h.lives+1, blow)
		if other, err = h.strike(ctx, b, blow, other); err != nil {
			return err
		}
	}
	last, err := h.start(ctx, "") // then the other one dies, too
	if err != nil {
		return err
	}
	b.release(math.MaxInt)
	if err := h.lose(ctx, other); err != nil {
		return err
	}
	return h.conclude(ctx, b, last, time.Now(), late, stop, wait)
}

// strike lives one life beside the other process until it dies, and waits until
// the other has taken over. It returns the one that lives.
func (h *house) strike(ctx context.Context, b *book, what blow, other *life) (*life, error) {
	if strings.HasPrefix(what.plan, "audit/sequenc") { // who has the log keeps it while it lives
		h.count(h.passes(other))
		h.struck(time.Now(), "kill from outside")
		h.stand(nil)
		other.kill()
		var err error
		defer func() { h.stand(other) }()
		if _, err = h.suffer(ctx, b, what, nil, nil); err != nil {
			return nil, err
		}
		other, err = h.start(ctx, "")
		h.set(nil)
		return other, err
	}
	n := len(h.blows)
	if _, err := h.suffer(ctx, b, what, nil, nil); err != nil {
		return nil, err
	}
	if other.dead() {
		return nil, fmt.Errorf("the process beside one that was killed has died: %w\n%s", other.err, h.lastWords())
	}
	if len(h.blows) == n || b.done() {
		return other, nil
	}
	// The last blow, and not the one noted last: a process may have been stopped
	// long before it was killed.
	return other, h.takenOver(ctx, slices.MaxFunc(h.blows[n:], time.Time.Compare))
}

// lose kills the process beside the one that serves now.
func (h *house) lose(ctx context.Context, other *life) error {
	if other.dead() {
		return fmt.Errorf("the process beside one that was killed has died: %w\n%s", other.err, h.lastWords())
	}
	time.Sleep(time.Duration(h.rng.IntN(150)) * time.Millisecond)
	at := time.Now()
	h.struck(at, "kill from outside")
	h.stand(nil)
	other.kill()
	h.count(h.passes(other))
	return h.takenOver(ctx, at)
}

// A claim is a task that some process is at.
type claim struct {
	epoch, until, attempts int64
	running                bool
}

func (r *records) claims(ctx context.Context) (map[string]claim, error) {
	rows, err := r.QueryContext(ctx, `SELECT id, epoch, lease_until, attempts, state = 'running' FROM outbox`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]claim{}
	for rows.Next() {
		var id string
		var one claim
		if err := rows.Scan(&id, &one.epoch, &one.until, &one.attempts, &one.running); err != nil {
			return nil, err
		}
		all[id] = one
	}
	return all, rows.Err()
}

var errLeft = errors.New("NOT TAKEN OVER")

// takenOver waits until another process has claimed all tasks that one which
// died at that time was at, and measures how long the last of them had to wait.
// Whose a task is shows when its lease is over: of a process that lives it does
// not come to that.
func (h *house) takenOver(ctx context.Context, died time.Time) error {
	r, err := h.records()
	if err != nil {
		return err
	}
	defer r.Close()
	left, err := r.claims(ctx)
	if err != nil {
		return err
	}
	var longest time.Duration
	for ; len(left) > 0 && ctx.Err() == nil; time.Sleep(15 * time.Millisecond) {
		now, err := r.claims(ctx)
		if err != nil {
			return err
		}
		at := time.Now()
		for id, was := range left {
			is, there := now[id]
			switch {
			case !was.running, is != was && at.UnixMilli() < was.until:
				delete(left, id)
			case there && is.attempts == was.attempts: // not yet; once claimed, it may wait again before we look
			default:
				delete(left, id)
				longest = at.Sub(died)
			}
		}
		if at.Sub(died) > stretched(2*stopLimit) && len(left) > 0 {
			return fmt.Errorf("%w: %d tasks of a process that was killed, after %s", errLeft, len(left), at.Sub(died))
		}
	}
	if longest > 0 {
		h.measure(takeOver, longest)
	}
	return ctx.Err()
}

// swept waits until no key is left that hid who a request was about which has
// ended: of a process that died between the two, another looks for it once a
// minute.
func (h *house) swept(ctx context.Context, b *book) {
	left := func(a *ask) bool {
		_, err := os.Stat(filepath.Join(h.dir, "data", "keys", "seal", a.id))
		return a.done() && a.id != "" && err == nil
	}
	for end := time.Now().Add(stretched(70 * time.Second)); ctx.Err() == nil && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if !slices.ContainsFunc(b.asks, left) {
			return
		}
	}
}

// takeOver is what takenOver measures.
const takeOver = "recovery after kill -9, by another process"

// written looks for identities in what PostgreSQL has written down of a ledger:
// all tables, and its own log, which still has what is no longer in them.
func (o *oracle) written(ctx context.Context, r *records, spelled map[string]string) {
	text, err := r.dump(ctx)
	if err != nil {
		o.wrong("read the ledger: %w", err)
		return
	}
	o.scan("the ledger", text, spelled)
	var dir string
	if err := r.QueryRowContext(ctx, `SELECT current_setting('data_directory')`).Scan(&dir); err != nil {
		o.wrong("ask where the database is: %w", err)
		return
	}
	files, _ := filepath.Glob(filepath.Join(dir, "pg_wal", "0*"))
	slices.Sort(files)
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil || info.ModTime().Before(o.began) {
			continue
		}
		if text, err := os.ReadFile(path); err == nil {
			o.scanWords("the database's log", string(text), spelled)
		}
	}
}
