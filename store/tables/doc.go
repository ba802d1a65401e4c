// Package tables erases memories kept in SQL tables that a data map declares.
//
// A [Map] names the database files, and in them the [Place]s that hold
// personal data: how a row is identified, how a selector's keys are found in
// it, and what hangs on it. Rows can hang on another place's row by columns (the
// history of a memory), others on those in turn, or name it in an array of links
// inside a JSON document (an entity). Erasing a row erases the former, what is
// furthest down first, and unlinks the latter; a document whose last link goes
// is erased too. A row that belongs to several people has [Ties], which say what
// becomes of it when one of them is erased.
//
// # What a match is
//
// Equality, byte for byte and type for type: a string equals only JSON text, a
// number only a JSON number, true only true, and "07" never equals 7. Of
// several names of one key the first that the map lists wins, and of a
// repeated name the last, as JavaScript reads it. A document that is not a
// JSON object matches nothing and is counted as unattributable. A column of
// integers is compared by its decimal: 42 equals "42", and neither "042" nor
// "42.0". A place that lacks a key of a selector selects nothing for it, and
// [Store.Unreached] names it. Table and
// column names come from the map, are compared with the live schema when a
// store is opened, and are quoted; what a request brings is bound, always.
//
// # What SQLite's tables must be
//
// Columns that a map matches, or identifies rows by, are of TEXT or INTEGER, or
// have no type and hold text: SQLite turns '07' into 7 in any other, such as one
// of type STRING or UUID. IDs are unique by a primary key or an index, or else
// other rows would go with the one that is meant. Rows hang on columns of the
// same types as their own. Tables WITHOUT ROWID and virtual ones are refused.
// All that is looked at when a store is opened. A selected row whose ID is not
// what its column's type says is an error, since it cannot be erased by its ID.
//
// # What a time is
//
// A row's times are read here and not by the database, from what the column or the
// member holds: a date (2026-11-22); a time as RFC 3339 or SQL write it, with or
// without seconds, their fraction and an offset; a time of the server's own type;
// or seconds, milliseconds or microseconds since 1970, whichever of them is in the
// years 1990 to 2099. It means the last instant that it can mean anywhere on earth:
// without an offset 12 hours after it would be over in UTC, a date at the end of its
// day. What is written in any other way, and what is before 1990, since programs
// write 0001-01-01 and 1970-01-01 for none, is never before any cut-off, and counted
// by [Store.Undated]. So is each row of several names for one time of which one
// cannot be read; of those that can the latest counts. An end that is missing, NULL
// or infinity never comes.
//
// # What it costs
//
// One page of Find reads at most 5000 rows and holds a read lock only while it
// does. SQLite has one writer, so one Erase runs at a time and more workers
// gain nothing. Where what hangs on rows has no index in the customer's file, of
// the columns in [Place].By and with the collation BINARY, each of the two
// connections that need one keeps it in memory, about 80 bytes a row, and
// rebuilds it with one scan when anyone else has written.
//
// # PostgreSQL
//
// A [Postgres] erases from tables of one PostgreSQL database, and from SQLite
// files with what hangs on their rows, as one store. ID columns are text, uuid
// or integers, or domains over them, and unique by an index as SQLite's are; that
// a table and one that inherits from it share no ID is up to whoever made them.
// Find pages by the index of the key, and
// what hangs on rows is looked for by an index of its columns, if there is one.
// Links have no index in the customer's tables, so each of Erase and Remaining
// keeps the rows that link in memory, about 150 bytes a link. It reads all of
// them once, and then the head of each row for what was written since; Erase
// not even that while nobody but this store has written to the database.
//
// A document in a column of type json can hold what the server cannot read: it
// is then read here.
//
// A [Rewriter] locks each table for as long as its rewrite takes, needs room
// for a copy, and builds every index anew; an HNSW index is most of the time.
// pg_stat_progress_cluster says how far it is. It costs reading all of the
// tables once more to look.
//
// # Decisions
//
// 2026-11-29. Times are read in Go, for both databases by one function, so that what
// is old to one is old to the other, and nothing depends on a server's DateStyle. The
// price is that a sweep reads the times of every row that its other keys select. The
// road not taken, comparing in SQL, would take each database's own guesses at a text
// for what it means.
//
// 2026-11-29. A PostgreSQL row cannot be locked before it is compared with what must
// still select it, for want of the privilege. It is compared when the transaction
// begins, to spare what hangs on it, and once more as the DELETE returns it, which is
// how it was when it went; if it had changed, the transaction is undone and done
// again. For orphans the table of what is gone is locked against everybody who
// writes while a batch is erased, at most: nothing else keeps a row from coming back.
//
// 2026-11-29. Of rows that hang on nothing, those that would hang on what hangs itself
// have no ID, and stay unattributable; so do all if the table above them is not
// there, since that may be a mistake. What is linked to is no orphan. A row that two
// people share under the rule Refuse is refused to a sweep, too.
//
// 2026-11-29. Identifiers are counted in memory, 200,000 at a time: if there are more,
// the rows are read once more for each share of them, by a hash. The road not taken, a
// temporary table, is either in memory, too, or writes who is who to a disk.
//
// 2026-11-29. Rows of PostgreSQL that are only deleted are not locked before,
// since that needs the privilege to change them. Two erasures take them in one
// order because the server must go by an index wherever there is one; what then
// still waits in a circle is ended by the server, and done again.
//
// 2026-11-29. Rows of PostgreSQL that the rules unlink and redact may change are
// locked before, for all ties of a batch in the order of their keys: of two
// erasures of a row's two ties the second sees what the first did, and takes the
// row. With the other rules rows cannot be locked, for want of the privilege;
// whether they are still the person's is asked again when they should be gone,
// and the transaction is done again if not. Two erasures can then wait in a
// circle, each for the other tie of a row. What a rule sets is planned by the
// server when a store is opened, so that a constant which a column cannot take is
// known then.
//
// 2026-11-29. Types whose equal values have several texts (numeric, character(n),
// citext, a collation that is not deterministic) cannot be keys. Enumerations
// cannot either: they name kinds, and no rows. A selector's text that is not how
// the server writes a value of the column equals none; it is bound as NULL, so
// that nothing is cast and a statement's text says nothing of its values.
//
// 2026-11-29. What the customer's foreign keys delete in tables that are not
// mapped is a problem of [Postgres.Check], and no reason not to open: rows that
// hang on a person's are the person's more often than not. Row security is one,
// since what it hides would be left, and never missed.
//
// 2026-11-29. Whether links were written since is said by the numbers of the
// rows' transactions, for one life of one server and the same parts of a table:
// whatever changes these, a restart too, costs reading all links once more.
//
// 2026-11-29. The layout is compared inside each transaction that erases, under
// locks that keep it so. It costs a seventh of a millisecond; the road not
// taken, a cheaper signature of the catalogues' row versions, gains nothing.
//
// 2026-11-29. Foreign keys are off for our connections. What the map does not say
// is not done: ON DELETE CASCADE would take rows that no plan has shown, a reply
// of someone else for example, and RESTRICT is kept by erasing what hangs on a
// row first. The price is that an unmapped table can name rows that are gone;
// Check says which.
//
// 2026-11-29. A row far down is reached through the rows above it, in the
// transaction that erases them all. If another program deletes the middle, what
// is below belongs to nobody that anyone could name, with all that is below it,
// and is counted as unattributable. Guessing is worse than counting.
//
// 2026-11-29. An ID of a shared row names the tie as well as the row, as
// messages.sender/7. Erase is given IDs and nothing else, and what becomes of a
// message depends on who asks. The road not taken, finding the owner anew at
// erasure, would trust a row that may have changed hands.
//
// 2026-11-29. Integers are bound as integers and texts as texts, both in one
// JSON array a batch, since SQLite compares a column with what it is bound to by
// the affinity of the column. A plain model, random tables, maps and selectors
// test it (oracle_test.go).
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
// refused. A [Rewriter] is one, for those who ask for it.
//
// 2026-11-29. What shows that a [Rewriter] has left nothing: the server said
// that its VACUUM (FULL) kept no dead row for an older transaction; the table,
// its TOAST table and all their indexes are in new files; the old ones are gone
// or empty after a checkpoint; and every page of rows that nobody has written
// since the rewrite (by its position in the write-ahead log) holds live rows,
// side by side, and zeros. Of what was written since, every byte was of a row
// that lived when the rewrite ended. Indexes are not read: they were built from
// those rows, into new files, and their layouts are many.
//
// 2026-11-29. Files are read with pg_read_binary_file, after a CHECKPOINT.
// pageinspect would read what is in memory, but is for superusers alone, who
// have the former too.
//
// 2026-11-29. The planner's statistics hold values of rows, and ANALYZE leaves
// those of a table that has become empty. They are made anew, left ones are
// deleted, and pg_statistic is rewritten and read like a table. Whoever may not
// do that has not purged.
//
// 2026-11-29. A rewrite waits two seconds for its table, no longer, for whoever
// comes after waits behind it; longer than one, after which PostgreSQL sends
// its own vacuum away. The road not taken, SKIP_LOCKED, would find a busy table
// free by luck alone. What a crash of the server in the midst of a rewrite
// leaves behind in its data folder, nobody sees here.
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
//
// 2026-11-29. Count says how many rows a place has, for the rule about fractions. On
// SQLite it is counted, by the smallest index. A PostgreSQL server would read the
// whole table for it, so it stops at a million, or at a hundred times what was
// found: the fraction can only look larger, and none of a hundredth or more does.
// The road not taken, the planner's estimate, is 0 for a table that was never
// analyzed, and old for one that was.
//
// 2026-11-29. What an erasure takes along, and has IDs of its own, it tells before it
// commits (store.Along): rows that lost their last link, and the other ties of a
// row that goes. Whoever erases by these IDs later finds nothing, and could not
// know by whom they went.
//
// 2026-11-29. What a hold forbids is asked by what erasing would do, see
// [Store.Matching]: a shared row is held whichever tie is meant and whatever the rule,
// for redacting changes evidence too; a row with what hangs on it; and a memory with
// the entity that would lose its link. The road not taken, to hold what Find yields
// alone, would erase rows that a hold selects by erasing others.
package tables
