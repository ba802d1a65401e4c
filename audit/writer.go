package audit

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jmoiron/sqlx"
)

// What one group may hold. It bounds what a crash or a failed commit takes
// with it, and how long the first of a group waits for the last.
const (
	maxChanges = 256
	maxEntries = 1000
)

// ErrDoubt is wrapped when a commit failed: the change and its entries may be
// on disk or not. Whoever asked must look before trying again, or try again
// only what is harmless twice.
var ErrDoubt = errors.New("commit in doubt")

var errClosed = errors.New("writer is closed")

// A Writer is the only writer of a SQLite database in which a ledger and its
// log are kept together. Changes that are asked for at once share one
// transaction, one signed head and one wait for the disk. It may be used
// concurrently.
type Writer struct {
	log    *Log
	db     *sqlx.DB
	say    statements
	commit func(*sqlx.Tx) error // (*sqlx.Tx).Commit; tests make it fail

	// Of the goroutine that leads, of which there is at most one.
	tip   *tip // nil until a commit of this Writer is certain
	doubt bool // nothing is written before the guard has looked
	named bool // the database says whose log it holds

	mu      sync.Mutex
	queue   list.List // of *call that have not begun
	leading bool
	closed  bool
	leader  sync.WaitGroup
}

// A call is a change on its way through a group.
type call struct {
	ctx  context.Context // of the caller, detached
	turn chan *Tx        // buffered: its transaction, or nil if there is none
	ran  chan outcome    // buffered: what the change said
	done chan error      // buffered: the answer
}

// An outcome is how a change ended.
type outcome struct {
	err    error
	broken bool // by a panic, or the end of its goroutine
}

// NewWriter returns the writer of l's database. db must be a pool of one
// connection to it, opened with _txlock=immediate and _synchronous=FULL, of
// which the second is made sure of here and before each commit. Nobody else
// may write to the database.
func NewWriter(ctx context.Context, l *Log, db *sqlx.DB) (*Writer, error) {
	w := &Writer{log: l, db: db, commit: (*sqlx.Tx).Commit}
	if !isSQLite(db) {
		return nil, errors.New("open writer: this database takes its entries from an outbox")
	}
	if n := db.Stats().MaxOpenConnections; n != 1 {
		return nil, fmt.Errorf("open writer: the pool has %d connections, want 1", n)
	}
	if err := l.durable(ctx, db); err != nil {
		return nil, fmt.Errorf("open writer: %w", err)
	}
	if h, keys, err := l.trusted(ctx, l.db, l.reader(ctx, l.db)); err == nil {
		l.saw(h, keys) // if it is false, each group will say so
	}
	if err := w.say.prepare(ctx, db); err != nil {
		return nil, fmt.Errorf("open writer: %w", err)
	}
	return w, nil
}

// Do runs change in a transaction and returns once it and the entries that it
// logged are committed, under a signed head that covers them. If change
// returns an error, nothing of it is kept and that error is returned as it is,
// once whatever else the change may have seen is committed; if that fails, the
// error of the commit is returned in its place.
// Other changes of the transaction are not harmed by it, nor by a panic, which
// goes on in the caller's goroutine.
//
// A caller whose ctx ends before its change has begun gets ctx's error, and
// the change never runs. From then on ctx ends nothing: SQLite rolls the whole
// transaction back if one of its statements is interrupted. So change is given
// a context of its own, with ctx's values, and must use no other; it should be
// short, and must not call Do.
//
// An error that wraps [ErrDoubt] says that the commit may have happened. One
// that wraps [ErrRefused] says that the log is not what it was; nothing was
// changed. Any other error means that nothing of the change was kept.
func (w *Writer) Do(ctx context.Context, change func(ctx context.Context, tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{ctx: context.WithoutCancel(ctx), turn: make(chan *Tx, 1), ran: make(chan outcome, 1), done: make(chan error, 1)}
	place, err := w.join(c)
	if err != nil {
		return err
	}
	var tx *Tx
	select {
	case tx = <-c.turn:
	case <-ctx.Done():
		if w.leave(place) {
			return ctx.Err()
		}
		tx = <-c.turn
	}
	if tx == nil {
		return <-c.done
	}
	return c.run(tx, change)
}

// run is the caller's part: it runs the change in the caller's own goroutine,
// so that a panic stays there, and waits for the answer.
func (c *call) run(tx *Tx, change func(context.Context, *Tx) error) error {
	broken := true
	defer func() {
		if broken {
			c.ran <- outcome{broken: true}
			<-c.done //nolint:errcheck // the panic says what is to be said
		}
	}()
	err := change(c.ctx, tx)
	broken = false
	c.ran <- outcome{err: err}
	return <-c.done
}

// join puts c into the queue and makes sure that somebody leads.
func (w *Writer) join(c *call) (*list.Element, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errClosed
	}
	if !w.leading {
		w.leading = true
		w.leader.Go(w.lead)
	}
	return w.queue.PushBack(c), nil
}

// leave takes a call out of the queue, unless its change has begun.
func (w *Writer) leave(place *list.Element) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.queue.Len()
	w.queue.Remove(place) // does nothing if it is no longer there
	return w.queue.Len() < before
}

// next takes the first call out of the queue. Without one, and if stop is set,
// the leader's time is over.
func (w *Writer) next(stop bool) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.queue.Front()
	if first == nil {
		w.leading = w.leading && !stop
		return nil
	}
	return w.queue.Remove(first).(*call)
}

// lead commits group after group until nobody waits. It is no caller's
// goroutine: none has to work for the others for longer than it must.
func (w *Writer) lead() {
	for c := w.next(true); c != nil; c = w.next(true) {
		g, err := w.begin()
		if err != nil {
			// Whatever keeps a transaction from beginning, those who wait need
			// not each wait for it to time out.
			for ; c != nil; c = w.next(false) {
				c.fail(err)
			}
			continue
		}
		g.lead(c)
	}
}

// fail answers a call whose change never runs.
func (c *call) fail(err error) {
	c.done <- err
	c.turn <- nil
}

// Close waits for the changes that were asked for and ends the Writer. It does
// not close the database.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.leader.Wait()
	return w.say.close()
}
