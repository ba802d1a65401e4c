// Package audit keeps the tamper-evident log in the ledger's database.
//
// A [Log] is an RFC 6962 Merkle tree over entries (audit/proof), stored as one
// row an entry, one row a hash and one row a signed head. A change in the ledger
// and its entry are committed together or not at all: [Writer.Do] gathers those
// that are asked for at once into one transaction with one head, [Log.Append]
// works in a transaction of the caller's.
//
// # What guards it
//
// Triggers let rows be inserted only, each at the end. Before it signs, Append
// makes sure that the last signed head is what the stored hashes say and that
// the commit will be on disk before it is answered; on doubt it does not sign.
// [Log.Guard] checks the right edge of the tree against the bodies, [Log.Check]
// all of it. Neither sees a database put back to an older state by what is in
// it: for that each [Anchor] keeps the newest head elsewhere, and the guard
// makes sure that the log continues it. Each certificate handed out is such a
// head too ([Log.CheckPin]).
//
// A log that was found not to be what it was is read, and appends nothing
// ([Log.Refusal]). There are two ways out. [Log.Import] brings the lost entries
// back from a copy of the log; [Log.Succeed] closes it, and begins another one
// that names it.
//
// A [Publisher] brings new heads to anchors, and to witnesses and time stamping
// authorities, whose word certificates carry.
//
// # Keys over time
//
// A log says itself which keys it has: [Log.Rotate] appends the announcement of
// the next one, [Log.Retire] the end of the old one. A head has to be signed by
// every key that was in force at its size, from the head that covers the
// announcement to the one before the end by both. A head with fewer signatures
// is refused, and none is made. There is no table beside it, so that what the
// log did with its keys cannot be told in two ways: the entries are proven under
// the newest head, which a key that is believed has signed, or under heads by
// which it handed on to one that has ([Log.Keys]).
//
// # On PostgreSQL
//
// Many processes change the ledger there and must not wait for each other, so
// they put entries into an outbox, in the transaction of the change
// ([Log.Enqueue]), and one [Sequencer] at a time logs them: whoever has the
// lock and finds the log where it left it, or has guarded it anew. A process
// that slept is held off by a compare-and-swap of the head row ([ErrFenced]).
// Import and succession take the same lock and move the same row, so that a
// sequencer elsewhere is held off by them too.
// Rows are bound by triggers and, if the service is not their owner, by rights
// ([Grant]). Commits must be on disk; a standby that may be promoted must be a
// synchronous one, or the log may come out behind its heads, and refuses. The
// log is read from the primary. Behind a pooler of transactions the driver must
// not prepare statements (default_query_exec_mode=exec), and migrations need
// their own, direct connection.
//
// # Decisions
//
// 2026-11-22. Two packages of golang.org/x/mod over tables of our own, not
// Tessera: its storage is a folder of its own, so an entry could never commit
// together with the ledger. The tree is the same, so its clients can read what
// [Log.Export] and [Log.Handler] give.
//
// 2026-11-22. A certificate is cut for the earliest head that covers its
// entry, so it has the same bytes whenever it is asked for. 2026-11-28: or for
// the earliest that has the most cosignatures, once there is one.
//
// 2026-11-22. A Log remembers nothing between calls of Append. A transaction
// that is rolled back must leave nothing behind, and a remembered head would
// be left behind. 2026-11-28: but for the largest head that was read committed,
// which a database put back under the process would contradict.
//
// 2026-11-28. A Writer remembers the newest head and the hashes at the right
// edge, once their commit is certain, and uses them only while the database
// shows that very head inside the transaction. After any error it forgets them.
// That saves two verifications and some ten reads a commit.
//
// 2026-11-28. A group is led by a goroutine of its own, and each change runs in
// its caller's. A panic so stays where it belongs, with its stack, and nobody
// works for others for longer than for himself. The goroutine ends when nobody
// waits.
//
// 2026-11-28. A change that was begun is not interrupted: SQLite answers an
// interrupted INSERT by rolling the whole transaction back, and the others in
// it would pay. A commit that failed is believed neither way, and the guard
// looks before the next.
//
// 2026-11-22. The head of an empty log is signed when it is asked for and not
// stored: it has one root and so one text.
//
// 2026-11-28. The sequencer polls. LISTEN needs a session of its own, which a
// pooler does not keep, and NOTIFY takes a lock of the whole server until the
// commit is on disk, which is the waiting that the outbox is there to avoid.
// Who waits in the same process wakes it, so only work of other processes waits
// for the poll.
//
// 2026-11-28. A sequencer leaves the log to another as long as that one moves
// it, instead of taking turns by the lock: each change of hands costs a guard,
// which asks every anchor.
//
// 2026-11-28. Rows of the outbox are deleted and returned. A place kept in the
// sequence of their numbers would skip rows that were numbered early and
// committed late.
//
// 2026-11-28. A row of the outbox that cannot be logged goes to audit_outcast.
// Enqueue lets none in, so it was put there by other means; it must not stop
// the log, nor vanish.
//
// 2026-11-28. An anchor that cannot be read is a reason to refuse: it may keep
// the head that tells of a rollback. It is the only reason that passes by
// itself. An anchor that never kept a head is new, and only reported.
//
// 2026-11-28. While the log refuses nothing is published. A publisher that took
// the older head of a log that was put back to the anchors would destroy the
// only trace of what is missing. For the same reason Export does not touch a
// copy that has more than the log.
//
// 2026-11-28. Import keeps the copy's head with the signatures that it came
// with. To sign it anew would need the key for nothing, and a head of one size
// would be there in two spellings.
//
// 2026-11-28. Logs that follow one another stay in one database, and only the
// newest is guarded against anchors: these keep one head, and it is that of the
// newest log. What was known of the log before stands in its first entry.
//
// 2026-11-28. A log that takes another one's place moves the head row itself,
// although a trigger does: the log before may have been spoiled by somebody who
// dropped the triggers. What was held of that log is looked for before the lock is
// taken, for anchors may be slow, and looked at again under it.
//
// 2026-11-29. A backup that was put back says of itself that it is one, and its log
// refuses until an anchor keeps a head of just its size, or a copy is imported. Whoever
// loses the data folder loses log.head with it; without the mark, a ledger without
// another anchor would go on from its backup and fork. The road not taken, a flag of
// the start ("this is restored"), is forgotten by whoever is in a hurry.
//
// 2026-11-28. An anchor that keeps a head of the heir forbids to begin it, whoever
// signed that head: a ledger from before a succession, with the heir's key beside
// it, looks like a succession that was interrupted, and would fork the heir.
//
// 2026-11-28. The order of a rotation: the next key's file, the announcement, the
// overlap, the end in the log, the new key's file in the place of the old. Each
// step is on disk before the next. The log goes first and the file that is in
// force last, for a key that nobody announced must sign nothing, while a file
// that is behind the log does no harm: both keys are at hand, and the log knows
// which one has to sign. A process that finds the file ahead of the log retires
// the old key if the new one was announced, and else signs nothing.
//
// 2026-11-28. Retire does not ask for the old key. Its entry stands under a head
// that the new key signs alone, so a log whose old key was lost in the overlap
// goes on. The announcement must have been under a head by then: otherwise there
// would be no head in which the old key names the new one.
//
// 2026-11-28. An announced key that is missing makes the log refuse, although the
// old one could sign. Whoever has the new key alone would not believe the head,
// and a log that is signed less than it said is what a thief would make.
package audit
