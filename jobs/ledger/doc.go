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
// share a transaction; reads have a pool of their own.
//
// # PostgreSQL
//
// Any number of processes serve one ledger. The statements are the same, written
// with ? and rebound; a dialect has its own folder of migrations and says how
// rows are locked. A change is a transaction of its own, READ COMMITTED, and its
// entries go through the log's outbox, which Sequence empties: a change that logs
// returns once its entry is in the log, or after 3 s, when it is committed and
// will be. Each connection is made sure of when it is opened: durable commits, a
// primary, UTF8, version 13 or newer.
//
// Where SQLite has one writer at a time, PostgreSQL has locks, always taken in
// this order: the request's row, then rows of the outbox, of jobs, of batches.
//
//	Accept           ON CONFLICT of the idempotency key: the second of two equal
//	                 submissions waits for the first and finds its request
//	Enqueue          an advisory lock a store, for the window is counted; rows by
//	                 SKIP LOCKED, so that Claim, Retry and the reconciler go on
//	Claim            one UPDATE that names state and epoch: it is evaluated again
//	                 on the row that the other one left
//	Extend, Begin, Look, Freeze, Retry, Drop, Residue
//	                 the outbox row is locked and still running under the epoch
//	Replan, Planned, Finish, Split, SetAside, GoesAlong, Verified, Complete
//	                 the request first: they go by what its other tasks did (is
//	                 this the last batch? is every job planned, or done?)
//	Stop, EndCancelled, SubjectKeyGone
//	                 the request: once by one of several reconcilers
//	Expired, Forgotten
//	                 SKIP LOCKED: a row that its worker is writing has a worker
//	Fence            reads, as on SQLite: what stops a task afterwards waits until
//	                 the task has answered, for its row is running
//
// Statements after a lock see what was committed before it, as READ COMMITTED has
// it; under one older snapshot (REPEATABLE READ) they would not, and each of them
// would fail and be tried again. A deadlock that is left, or a failure to
// serialize, undoes the transaction, and it is tried again.
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
//
// 2026-11-29. Abandoned is for SQLite, where the only process has just begun. On
// PostgreSQL a worker that died is known by the end of its lease alone: a table of
// processes and their heartbeats would be a second clock that says the same.
//
// 2026-11-29. The window of a store counts the tasks of all processes. Two
// processes are not to hold twice as many tasks that wait for one store.
//
// 2026-11-29. Keys stay in files, also on PostgreSQL, in a folder that its
// processes share. A key in the database could not be destroyed: it would be
// found in the write-ahead log, in replicas and in every backup.
//
// 2026-11-29. A request is accepted by its commit, not by its entry: what is
// committed must be answered, and the outbox cannot lose the entry. So a log that
// is not appended to makes the answer late and takes the receipt off it; only
// a log that is known to be false makes it an error, before anything is written.
//
// 2026-11-29. If entries have waited for the log for a minute, nothing is taken in
// or destroyed: what SQLite's writer refuses at once, processes that do not keep
// the log themselves cannot know sooner.
//
// 2026-11-29. Processes go by one clock, the database's, once their own is a quarter
// of a second off it. Epochs keep the book right whatever the clocks say; but a
// lease that ends early has a batch done twice, and "purged" is said of what was
// verified before a purge began, on another machine: so a purge waits for as long
// as the clocks may differ (Skew) after the time that it names as its beginning.
//
// 2026-11-29. The lock of those who serve keeps an embedded queue, and commands
// that repair, from running beside others. It is a session's, so that it goes with
// the process, and so the address must be the server's own.
//
// 2026-11-29. What the database's clock says counts only if it was said within a
// quarter of a second: the pause of a process that was stopped while it asked would
// go into its clock, and what it verified would be dated before a purge that had
// begun.
//
// 2026-11-29. A connection ends 20 s after the other machine has fallen silent. By
// itself TCP waits for a quarter of an hour, in which relay, reconciler and
// sequencer would wait for a primary that is gone, after its standby has long taken
// its place.
//
// 2026-11-29. Whether a plan has to be approved is decided in the transaction that
// freezes its hash, and written there: Fence and Begin read what was written and
// judge nothing, so that a process with other limits in its configuration cannot
// erase what waits. That the approver is another than who filed it, and that the
// hash is that of the plan in force, is asked in the statement that approves.
//
// 2026-11-29. A drift has the whole request planned anew, all its stores, although
// one would do: the hash that a person has looked at is one for all of them.
//
// 2026-11-29. What waits for an approval has no task in the outbox, but for batches
// of other stores when a round found while verifying waits. Those are parked far
// in the future, since rings for what may not be done would be for nothing.
//
// 2026-11-29. A token is kept as its plain SHA-256. It is 256 random bits, so there
// is nothing to try, and neither salt nor a slow hash would add to that; it is
// looked up by the hash, so that how long the search takes tells nothing of it.
//
// 2026-11-29. A command makes tokens beside the process that serves a SQLite ledger:
// it writes their rows, and that the log is owed their entries, and whoever serves
// writes those before the token is good. The road not taken, to let commands append
// to the log, would make two writers of what has one.
//
// 2026-11-29. Who is told of a change of status is told from rows that a trigger
// writes, in the transaction of the change, with the counts of that moment. What is
// sent is made of them at the first try and kept. Rows go when they are told; the
// sealed URL goes with the last row of a request that has ended.
//
// 2026-11-29. Connections to SQLite keep the statements that they have compiled. A
// request's whole life took a third of its processor time to compile the same
// hundred statements again and again, each some thirty times.
//
// 2026-11-29. What goes from a store along with a batch is kept in the batch's row,
// sealed as its IDs are, and wiped with them: another batch of the job may have it
// (GoesAlong). A digest of each ID in a table of its own would be found faster, and
// would be a million rows more to wipe at the end of a large request; real stores
// list first what could go along, so there is little to search. If the request is
// being cancelled, batches of the job whose tasks were dropped get them back, in
// the same transaction: its end must say what has gone.
//
// 2026-11-29. A backup is a SQLite file and nothing else: SQLite's own online backup,
// under one read transaction, with the mark in its header (the application ID). Keys are
// in none: a key that was destroyed would live on in it. So what was open when keys are
// lost must be asked for again, and OpenIDs says what that is.
//
// # Holds
//
// A hold is added, and is in force some time later. From its commit on (AddHold)
// it is seen by every Begin, Look and Fence. Fence refuses a batch that was not
// compared with it; one that had passed its fence before is under way: its attempt
// is open and names an older hold as the newest that it knows. Activate waits for
// those. A fence that did not see the hold was read before its commit, and its
// batch had begun before that; so whoever looks after the commit sees the batch.
// No lock is needed for that, and none is held while a store works.
//
// 2026-11-29. A batch that is open counts as under way until its lease has ended,
// also when its task is ready again because the process is known to have died: what
// that has asked its store for may still be on its way. A batch that another worker
// has taken up since counts no more.
//
// 2026-11-29. Held IDs are a batch of their own, which is not done and whose row of
// the outbox is in a state of its own. It remembers how many holds had ended when it
// was compared: once more have, it is compared again. So what releases a hold needs
// no list of what it held, and may die at any step. The road not taken, to note the
// hold in the batch, loses a batch that two holds keep.
//
// 2026-11-29. The keys of a hold are destroyed when it ends. Nobody can show then
// whom it was about; the log shows that it was, and how long.
//
// 2026-11-29. Of a record whose retention is over the row of the request stays, with
// nothing in it that somebody wrote: the totals of the metrics are counted from these
// rows, and the certificate is found by one. The road not taken, deleting the row and
// keeping totals beside it, would have made two places that must agree. A SQLite
// ledger is rewritten before a record counts as deleted, for secure_delete leaves
// copies where pages split.
//
// 2026-11-29. What a scrape cannot read of the ledger is left out, and
// lethe_ledger_up is 0. Before, one invalid metric failed the whole scrape, and hid
// the process's own numbers when they were needed most. The road not taken, to repeat
// what was read last, looks like health, and an alert on it would be about the past.
//
// 2026-11-29. Requests that have ended are counted once, and not at each scrape: see
// tally. The road not taken, a row of the ledger that holds the sums, would have every
// end of a request wait for every other.
//
// 2026-11-29. How late a policy is, is said here (lethe_sweep_late_seconds), from the
// first tick that no sweep was run for. The road not taken, an alert on the age of the
// last success, has to know each policy's interval, cries at once over a new policy,
// and misses one that has never had a success.
package ledger
