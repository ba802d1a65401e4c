// Package jobs is the book of erasure requests: asked by whom, how far, due
// when, forbidden by what.
//
// A [Request] asks to forget a Selector in some Stores. It has one [Job] a
// Store, and each Job has Batches of at most store.MaxBatch IDs, frozen when
// it was planned. The book is kept by a ledger (jobs/ledger), which is the
// truth: whatever has to be done is a row of its outbox, committed together
// with the reason for it.
//
// # How work is woken
//
// A [Ring] names one outbox row and its epoch, and nothing else. The [Relay]
// carries ready rows to the queue, a window per store at a time; the
// [Reconciler] rings again whatever should have been answered by now, under a
// new epoch. So a ring that is lost, doubled or late does no harm: the worker
// claims the row in the ledger, and only one claim per epoch succeeds.
//
// # Decisions
//
// 2026-11-22. One outbox table with the leases in it, instead of an outbox
// beside a lease table: a row is ready, queued or running, and its epoch is
// the fence. The road not taken needed two rows to agree.
//
// 2026-11-22. The selector and the frozen IDs stand in the ledger only sealed
// under a key of the request's own, kept outside the database. Wiping a
// request destroys that key, so it does not matter what SQLite leaves in free
// pages, the WAL or a backup. The road not taken, secure_delete alone, leaves
// copies behind when pages split (measured: 96 of 2,000 IDs).
//
// 2026-11-28. A memory is looked for in the receipts with the subject key: all
// leaves that it could have in a batch are computed and compared. Nothing is
// kept for it, so nothing more is to be wiped (77 ms for a million IDs; no index
// of keyed IDs beside the leaves). Of several receipts of one memory the proof
// shows the last in each place, and of these first one that says that something
// is still there: it must not tell the better half.
//
// 2026-11-29. What is queued and neither claimed nor known to the queue is rung
// again after 5 s, and at once by the start of a process that has the ledger to
// itself. It was 15 s, which the crash lab has shown to be how long a task waited
// whose relay was killed between the mark in the ledger and the ring: longer than
// what a killed worker was at, which waits for its lease of 8 s. To ask early does
// no harm: a ring that comes late has an old epoch.
//
// 2026-11-29. A request is planned when it is filed, also with a grace period, for
// planning only reads: so a person can look at the plan, and approve it, while the
// grace lasts. When its time has come, and after each approval, every place is
// counted again, and a plan that has drifted is made anew. The road not taken, to
// plan at the end of the grace, would leave people to approve at night, or would
// begin the wait when it should have been over.
//
// 2026-11-29. An approval is of a hash, and the hash covers the number of the plan
// among those of the request: a plan that comes back exactly as one that was
// approved long ago has to be approved again, and no entry in the log is of two plans.
//
// 2026-11-29. A store's own limits replace those for all there, also when they are
// wider. Rows of the other stores count together: one person's memories in ten
// stores are one erasure. The rows that hang on others count too, since they go.
// A fraction counts only from FractionFrom rows found, or every second request to
// a store with few people in it would wait.
//
// 2026-11-29. A store that does not say how many rows a place has is taken to have
// no more than were found: it waits too often, never too seldom.
//
// 2026-11-29. A request can be rejected until a batch of it has been begun. After
// that "rejected" would be a word for a part of an erasure: it is cancelled, and
// its certificate says how far it got.
//
// 2026-11-29. The Book holds the law of who may do what and see what, and not its
// doors: each call says for whom it is, nobody may do nothing, and so no door can
// forget it. The doors ask before they read a body, by the same table
// (Act.Allowed). A request that is another's costs and answers what one that is not
// there does.
//
// 2026-11-29. Tokens are never deleted, and a service that has had one is never open
// again: whoever could revoke the last of them must not open the door by it.
//
// 2026-11-29. A deadline is a whole day by the calendar of the office that
// answers, and its instant the last second of that day (Regulation 1182/71,
// Art. 3(1) and (2)). Before, it kept the time of day of receipt, in the offset
// that received_at came with: early by up to a day, and an extension, counted from
// what the ledger keeps, would have counted by another calendar. The zone's
// default is of the law's own land; holidays have no default, for none could be
// right, and without them a deadline is early and never late.
//
// 2026-11-29. Leases have a turn of their own in the Reconciler. After the others in
// one turn, a task whose worker had died was found only when the end of a cancelled
// request, or of a hold, had been logged, and with the log's keeper dead too each of
// them took seconds.
//
// 2026-11-29. The 202 that answers a filing confirms nothing to a consumer (11 CCR
// 7021(a)): whoever files is mostly another, and has not been told how the request
// will be processed. So a confirmation is recorded by who made it.
//
// 2026-11-29. What is exempt is left out when batches are frozen, and not when
// they are erased: no batch, and no receipt, has an exempt ID, so nothing done
// twice or after a crash can erase one. The road not taken, outcomes of their own in
// receipts, lets every ID be proved, and lets every worker come near it. An
// exemption that comes later throws the plan away, whose hash covers exemptions.
//
// 2026-11-29. A sweep files an ordinary request. Its tick is a row of the ledger,
// which is taken by moving the policy's newest tick (compare and swap), and answered
// by the transaction that files the request: a crash leaves both or none. The road
// not taken, a task of the queue for each tick, would have two truths about what is
// due. What wakes a Sweeper is a timer: Asynq's scheduler would add nothing to it.
//
// 2026-11-29. Of missed ticks the newest is run, and says how many it covers. A tick
// that cannot be run stays open until the next one covers it.
//
// 2026-11-29. A sweep leaves what is held, and what is not selected any more when
// its turn comes, instead of waiting: it comes again. Such IDs leave the batch before
// its receipt is made, so they are in no certificate; Job.Kept counts them. The road
// not taken, to set them aside as for people's requests, would let one legal hold
// keep a request open for each tick, and block the policy or pile them up.
//
// 2026-11-29. A clock that was set forward is known by the process's own clock, which
// nobody sets. One that was wrong when the process began looks like an outage; there
// the brakes hold. Who runs a policy by hand vouches for the clock.
//
// 2026-11-29. A request of a sweep is due by its regime like any other, from when it
// was filed: it can only be late because somebody has to act, and that is to be
// said. Its receipt is confirmed to nobody.
//
// 2026-11-29. A policy's own max_fraction counts from the first row: who says half
// of ten rows means five. That for all requests counts from FractionFrom as before.
//
// 2026-11-29. Of what was erased 16 bytes of an HMAC stay: of each ID, and of the one
// name that a request selected by. Who asks by several keys has rows forgotten, and
// nobody, so only the IDs are marked then. The road not taken, a digest of the
// selector alone, recognizes nothing that was asked for by ID or by metadata. IDs
// that were not there when their request was planned are not marked: nobody knows in
// which place they would have stood.
//
// 2026-11-29. The key of the digests is one a month, so that destroying one file ends
// all of that month. It dies before its entry is written: an entry that says of a key
// which still exists that it is gone would be a lie, the other order is a delay.
//
// 2026-11-29. A look stands in the ledger with its time, is taken for ten minutes, and
// is answered by the transaction that files what it found: a crash leaves both or
// none. One reading of a store serves all looks that are due. A look compares the
// marks of its own requests; a replay those of all that ended since the backup.
//
// 2026-11-29. What has come back is filed as a list of rows, place and key, and not by
// the name, which nobody has any more; a worker asks for them by Remaining
// (Task.Exact). So all that a request passes, it passes: limits, holds, approval.
//
// 2026-11-29. Whoever only the log knows, since the ledger was put back, is recognized
// by the subject commitment of the request, under the key that its submitter has: the
// selector of each single name and ID of the store is tried against it. That is as
// long as the key is kept (subject_key_retention), and of one name or one ID alone.
//
// 2026-11-29. A replay supersedes no certificate: store.replayed/v1 says once for all
// that what was restored was compared, and a backup of a year would supersede each
// request of it in one transaction. A look, which finds what nobody announced, does.
package jobs
