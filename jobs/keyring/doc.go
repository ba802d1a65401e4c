// Package keyring keeps the keys of requests in files of their own, so that
// each can be destroyed.
//
// Every request has two random keys of 32 bytes. Its seal key hides the
// selector and the frozen IDs in the ledger and dies when the request ends.
// Its subject key opens the commitments in the log; it is handed to the
// submitter and dies on schedule. One more key, the installation's secret,
// never leaves the folder and only blinds idempotency keys.
//
// Each month, an epoch, has a key for the digests by which is recognized what comes
// back after it was erased. It dies once no backup can be as old any more.
//
// # Decisions
//
// 2026-11-22. Keys stand in plain files beside the database, one a key, made
// with O_EXCL and synced before the first byte that they hide is written. The
// road not taken, a table of keys, would leave copies in free pages and in
// backups of the ledger, which are to be useless without this folder. What the
// disk itself keeps of an overwritten file (SSD remapping, snapshots) is
// outside of what this package can destroy.
package keyring
