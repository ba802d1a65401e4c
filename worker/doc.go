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
// certificate depend on when a process was killed.
//
// 2026-11-22. A batch that keeps failing is split only while its store answers
// reads: an outage is not a poison ID.
//
// 2026-11-29. A batch that was begun and never answered is a suspect: its worker
// died, or lost its lease. At the third time it runs alone, so that nothing else
// can be the reason, and if that kills the worker too it is bisected. The one ID
// that remains is set aside as refused, for an hour at a time; the others have
// finished. The road not taken, to count all attempts alike, would split batches
// for every outage.
//
// 2026-11-29. A batch that was begun before its request was cancelled is read
// again before the request ends, and what is gone of it gets its receipt. The
// road not taken, to end at once, certified less than was erased.
//
// 2026-11-22. A purge may take a tenth of the time: after one that took d, the
// next waits 9d. Rewriting a large file for each single erasure would
// otherwise keep the application that owns it from working.
package worker
