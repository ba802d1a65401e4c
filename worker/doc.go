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
// 2026-11-22. A purge may take a tenth of the time: after one that took d, the
// next waits 9d. Rewriting a large file for each single erasure would
// otherwise keep the application that owns it from working.
//
// 2026-11-29. The schema is compared with the data map before each plan, and
// not on a timer: what matters is that no erasure is planned by an old map. It
// costs 0.1 s in a schema of 300 tables (BenchmarkCheckOf300Tables). By default what
// is found is told and the erasure goes on, since a deadline missed for a new
// table harms the person too; Strict is for those who see it the other way.
package worker
