// Package ledger keeps the book in a SQL database, through sqlx.
//
// The ledger is the truth. A request is accepted, a batch is finished and a
// request is completed by one transaction each, which also appends to the log
// where there is something to log. Whatever a worker may do, it may do because
// it holds a row of the outbox under that row's current epoch; every write of
// a worker names the epoch and writes nothing if it is stale.
//
// Nothing in the database names a person: selectors and IDs are sealed under
// the request's seal key before they are written.
//
// # SQLite
//
// journal_mode=WAL, synchronous=FULL and secure_delete=ON, asserted on every
// connection when it is opened. All writes go through one connection, that of
// the log's writer (audit.Writer), which lets changes that are asked for at once
// share a transaction; reads have a pool of their own. The statements use ? and
// are rebound, so that another dialect needs only its own folder of migrations.
//
// # Decisions
//
// 2026-11-22. Times are integers, milliseconds since 1970 in UTC: the two
// dialects disagree about what a timestamp is.
//
// 2026-11-22. Progress is counted from the batch rows when it is asked for and
// never incremented. A batch row is finished once, under its epoch, so a task
// that runs twice cannot be counted twice.
//
// 2026-11-22. IDs of a request that is still being read are staged in
// transactions of their own. One transaction over the whole body would let a
// slow client hold the only writer.
//
// 2026-11-28. A write whose error wraps audit.ErrDoubt may have happened. Nobody
// tries it again as it is: a task comes back when its lease ends or is gone, a
// client asks again with its idempotency key, and the reconciler does what is
// due in any case.
//
// 2026-11-28. What comes back to the log is followed in the transaction that
// brings it back. A request that the log says has ended, and the book would
// carry out again, could never end: its entry stands there already.
package ledger
