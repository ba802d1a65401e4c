// Package durable writes files so that a crash leaves the old one or the new
// one, whole.
//
// # Decisions
//
// 2026-11-28. A package of its own for two functions, because the witness and
// the anchors both live by the order temporary file, fsync, rename, fsync of
// the folder, and the last step is the one that copies of it forget.
//
// 2026-11-29. Fill gives the path of the temporary file and not its contents: a backup
// is written by SQLite itself, checked there, and only then moved.
package durable
