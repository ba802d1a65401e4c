package audit

import "github.com/jmoiron/sqlx"

// CommitWith makes a writer commit in another way, until it is called again.
// It must not be called while a change is under way.
func (w *Writer) CommitWith(commit func(*sqlx.Tx) error) { w.commit = commit }

// Queued returns how many changes wait for their turn.
func (w *Writer) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queue.Len()
}
