// Package tables erases memories kept in SQL tables that a data map declares.
//
// A [Map] names the database files, and in them the [Place]s that hold
// personal data: how a row is identified, how a selector's keys are found in
// it, and what hangs on it. Rows can hang on another place's row by a column
// (the history of a memory), or name it in an array of links inside a JSON
// document (an entity). Erasing a row erases the former and unlinks the
// latter; a document whose last link goes is erased too.
//
// # What a match is
//
// Equality, byte for byte and type for type: a string equals only JSON text, a
// number only a JSON number, true only true, and "07" never equals 7. Of
// several names of one key the first that the map lists wins, and of a
// repeated name the last, as JavaScript reads it. A document that is not a
// JSON object matches nothing and is counted as unattributable. Table and
// column names come from the map, are compared with the live schema when a
// store is opened, and are quoted; what a request brings is bound, always.
//
// # What it costs
//
// One page of Find reads at most 5000 rows and holds a read lock only while it
// does. SQLite has one writer, so one Erase runs at a time and more workers
// gain nothing. What hangs on rows has no index in the customer's file, so each
// of the two connections that need one keep it in memory, about 80 bytes a
// row, and rebuild it with one scan when anyone else has written.
//
// # PostgreSQL
//
// A [Postgres] erases from tables of one PostgreSQL database, and from SQLite
// files with what hangs on their rows, as one store. Its documents are jsonb
// and its keys uuid or text. Find pages by the index of the key. Links have no
// index in the customer's tables, so each Erase and each Remaining of memories
// reads the table of entities once.
//
// # Decisions
//
// 2026-11-29. A file that is missing, no database, moved away or replaced is a
// store that is unavailable, not one that is refused: it can be put back. SQLite
// goes on with a file that was moved, so before rows are read or erased its path
// is compared with the file that was opened.
//
// 2026-11-29. A database that is read only is unavailable from the start, and
// not only when something is to be erased: it would be planned on for nothing.
//
// 2026-11-28. PostgreSQL and the files beside it cannot commit at once. The
// files are committed while the database's transaction holds its rows, then the
// database: two erasures of one ID agree on which of them did it, and a crash
// leaves rows whose owner is known, so that the same Erase or a new Find ends
// the work. The other order could leave history that nobody can attribute.
//
// 2026-11-28. A Postgres is no store.Purger: after DELETE and VACUUM texts are
// still in the heap, and in the write-ahead log after a rewrite too. Evidence
// ends at verified, read on other connections of the primary; a replica is
// refused.
//
// 2026-11-28. Rows that link are locked in the order of their keys before they
// are changed: two erasures that each take one of the last two links would
// both see another one left.
//
// 2026-11-22. Files are attached to one connection in the order of the map,
// those whose rows hang on others first. With rollback journals a commit over
// all of them is atomic. In WAL mode SQLite commits them one after the other
// in this order, so that a crash leaves a memory without its history, never
// history without its memory, and the same Erase or a new Find ends the work.
// The road not taken, a transaction a file, would give up the atomic case.
//
// 2026-11-22. An error from SQLite is reduced to its code. Its text can quote
// what a customer's trigger says, and that can be anything.
//
// 2026-11-22. Commits use synchronous=EXTRA: with FULL a power failure right
// after a commit can bring a rollback journal back, and the erased rows with
// it. The customer's journal mode is never changed.
//
// 2026-11-22. A VACUUM, ours or anyone's, renumbers rows that a Find in pages
// relies on. It changes the schema version, and Find then ends with a
// temporary error. The road not taken, paging by the text key, reads the file
// in random order.
package tables
