// Package worker does the erasing.
//
// An [Eraser] answers the queue's rings. Each wakes it for one task of the
// ledger, which it claims, carries out and answers:
//
//	plan    list what the selector selects and freeze it as batches
//	batch   fence, erase, read again, keep the receipt
//	settle  read everything again; then purge, certify and wipe
//
// Any step may run twice, in any process, and may die anywhere: the claim and
// every write name the task's epoch, erasing is idempotent, and what counts is
// a batch row that is finished once. When a step fails, the task goes back
// into the ledger and is rung again later; the queue's own retries are not
// relied on.
//
// # Decisions
//
// 2026-11-22. An ID that is absent at a second attempt counts as erased. It
// was there when the plan was frozen, and an earlier attempt that died between
// the store's commit and the ledger's may have erased it; at a first attempt
// it counts as absent. The road not taken, absent always, would make a
// certificate depend on when a process was killed. Amended on 2026-11-29: a second
// attempt is one after an attempt that may have erased, see there.
//
// 2026-11-22. A batch that keeps failing is split only while its store answers
// reads: an outage is not a poison ID.
//
// 2026-11-29. A batch that was begun and never answered is a suspect: its worker
// died, or lost its lease. At the third time it runs alone, so that nothing else
// can be the reason, and if that kills the worker too it is bisected. The one ID
// that remains is set aside as refused, for an hour at most; the others have
// finished. An only ID may have been innocently there when its worker died three
// times, so it is tried again after seconds first. The road not taken, to count all attempts alike, would split batches
// for every outage.
//
// 2026-11-29. Only a batch that is touched counts what is absent as erased: one
// with an attempt that was never answered, or that called the store's Erase and has
// no receipt, or erased of it by its receipt. Of an attempt that was broken off
// before, or whose receipt has nothing erased, the ledger is told that it spared
// the batch; what was absent by the receipt of one that failed later is split off.
// Without, a batch whose attempt was broken off claimed what another request had
// erased meanwhile, and two certificates said of one row that it was theirs. What
// remains is a worker that dies, or a store whose answer is lost: nobody knows
// then. The road not taken, a mark in the store in the transaction that erases,
// needs a table of ours in every store.
//
// 2026-11-29. What goes along with an ID, an entity with the last memory that it
// links to, is counted by its own batch if the plan has it, as erased, and by
// nobody if not. The store says what goes, directly before it commits, and the
// ledger keeps it sealed with the batch it goes with; whoever of the same job and
// round finds an ID gone asks there. The crash lab had found a row of four that
// was absent by the certificate of the request that had erased it: a hold had
// parted it from its memory, whose batch came first. It costs one write of the
// ledger under the store's locks, of a batch that takes something along while
// another is open. Roads not taken: to keep kin in one batch, which holds, splits
// and sizes undo; to order the batches, likewise; to leave an entity to its own
// batch, which a cancellation would keep from ever coming; to tell after the
// commit, which a crash in between makes a lie.
//
// 2026-11-29. A batch that was begun before its request was cancelled is read
// again before the request ends, and what is gone of it gets its receipt. The
// road not taken, to end at once, certified less than was erased.
//
// 2026-11-22. A purge may take a tenth of the time: after one that took d, the
// next waits 9d. Rewriting a large file for each single erasure would
// otherwise keep the application that owns it from working.
//
// 2026-11-29. What a store says is checked before it is kept ([Store.Find] and
// its neighbours). The crash lab had found that one strange answer, an outcome
// that there is none of, a count below zero or an ID without a key, was frozen
// into the ledger, and that no certificate could be made ever after, though
// the store had long been mended; and that a store which answered Remaining
// with a stranger's ID had it erased. A store that panics has failed, like one
// that returns an error: otherwise its batch would never be split, and a purge
// that panicked kept the store locked until the process ended.
//
// 2026-11-29. Verifying also believes Count: a store that counts rows which
// Find does not yield gets no certificate. The rows may have come between the
// two readings; then the next try finds them.
//
// 2026-11-29. The schema is compared with the data map before each plan, and
// not on a timer: what matters is that no erasure is planned by an old map. It
// costs 0.1 s in a schema of 300 tables (BenchmarkCheckOf300Tables). By default what
// is found is told and the erasure goes on, since a deadline missed for a new
// table harms the person too; Strict is for those who see it the other way.
//
// 2026-11-29. A store that is away is a [Link], opened in the background, and
// opening it is the only judge: whatever a call's error tells of the store as a
// whole (away, denied, not as its map says) takes it down, and it is up once it
// opens. So reasons come from one place, a schema that changed harmlessly needs
// no restart, and every reason that is mended outside is mended here too. The
// road not taken, to tell lasting errors from passing ones, has to be right for
// every server and every version.
//
// 2026-11-29. Nothing is known of a store that is down, so nothing is answered
// for it: what it can do and which places it does not reach are asked of the
// store itself, and a job that needs to know waits. A job that was verified on
// two lives of its store, which may be two files, is verified anew.
//
// 2026-11-29. Tasks of a store that is down stay in the outbox and are not rung
// for, so that a million batches that wait cost nothing. What users see of it
// is worded when they ask, not written into every job.
//
// 2026-11-29. A plan that was approved, or that waited for its grace to end, is
// counted again and not listed again: the IDs that a person approved are those
// that are erased. What has come since is found by verifying, as ever, and more of
// it than was approved waits for people.
//
// 2026-11-29. Holds are compared with a batch's IDs in the store, and not when the
// request is planned: what a row matches may change, and a hold may come at any time.
// The road not taken, to compare inside the store's own transaction, would close the
// last gap, an application that gives a row to somebody else within those
// milliseconds, and would keep every hold's selector under the store's locks.
//
// 2026-11-29. A worker that has carried out a task goes on at once with what its
// request has ready, if its jobs have one batch each: a queue that is polled costs
// 50 ms a task, which was most of the time that one memory took. It claims rows of
// the ledger, as ever; the rings that the queue has for them come too late and do
// nothing. For the same reason a [Hand] begins what somebody waits for, four at a
// time, in the process that was asked. Large jobs take their turns in the queue, so
// that no one keeps a worker to himself. The road not taken, to poll the queue more
// often, would make every idle process pay for it.
//
// 2026-11-29. A store behind an API may erase one ID after another, for a minute. The
// fence is then read anew, once a second, before the next one goes, so that a hold
// stops a batch; a batch that was stopped so has been touched, and is tried again
// before it is divided. A cancellation still waits for the batch to end.
//
// 2026-11-29. A store that keeps what it does not show is at most erased, whatever it
// could purge. How many rows are related is counted when a job is planned and when it is
// verified, and the larger number stands: rows that come later are named too.
package worker
