// Package anchor keeps the newest signed head of a log outside the ledger's
// database: in a file, at an HTTP server, or as an S3 object.
//
// Whoever can put the database back to an older state, by restoring a backup or
// on purpose, must not be able to put back the anchor with it. So keep it on
// another disk, or better with other people.
//
// An anchor is asked one hard question: is there nothing because nothing was
// ever kept, or because it was lost? Only the first may be answered with nil.
// Wherever the two look alike, Load returns an error, and a person decides.
//
// # Decisions
//
// 2026-11-28. A head that arrives late is not held back: an anchor that has an
// older head than the log detects less, and never accuses. So there is no
// If-Match, which half of the servers do not know.
//
// 2026-11-28. The signer of aws-sdk-go-v2 with net/http, and not the SDK: one
// PUT and one GET need no client of 40 modules, and SigV4 is nothing to write
// oneself.
//
// 2026-11-28. An object of which S3 says that it was deleted is not one that was
// never kept: the version that a deletion leaves says so, and is an error.
//
// 2026-11-28. Tokens and keys come from files, which are read at each use, so
// that they can be changed while the service runs.
package anchor
