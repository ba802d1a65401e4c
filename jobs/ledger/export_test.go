package ledger

import "github.com/jmoiron/sqlx"

// Repeated is what is asked again and again.
func Repeated() []string { return []string{stoppedRequests, dueKeys, dueUntil} }

// Pools returns the writer and the readers, to be asked what they are set to.
func (l *Ledger) Pools() []*sqlx.DB { return []*sqlx.DB{l.db, l.read} }
