// Package mem0 knows Mem0: its table layouts as data maps.
//
// A Mem0 installation on SQLite (npm mem0ai/oss, its default) has three files:
// memories and entities, each a table vectors of JSON payloads, and a history
// with the raw messages. [OpenSQLite] maps them to four places:
//
//	memories  rows of vectors, in either file
//	entities  rows of vectors that have entityType and linkedMemoryIds
//	messages  raw messages, by parsed session scope
//	history   rows of memory_history, which hang on memories
//
// Erasing a memory erases its history and its links from entities, and the
// entities that lose their last link. Mem0's own delete leaves the history and
// the raw messages, and writes the erased text into the history once more.
//
// Mem0's self-hosted server keeps memories and entities in two tables of
// PostgreSQL and the rest in a SQLite file. [OpenPostgres] maps them to the
// same four places. [OpenServer] adds the request log of the server's own
// database, in two more:
//
//	requests         rows whose path names a user, agent, app or run
//	memory_requests  rows whose path names a memory, on which they hang
//
// # Decisions
//
// 2026-11-22. What a row is, its payload says, not its file: where dbPath does
// not end in .db Mem0 keeps entities among the memories (its issue 6606), and
// two paths swapped in a configuration must not turn memories into entities,
// which have no history. Both files are read for both.
//
// 2026-11-22. Payloads of old rows name the user userId. Mem0 reads that only
// where user_id is absent, whatever user_id is, and so do we.
//
// 2026-11-22. A raw message goes when every key of the selector is in its
// session scope. Selectors by app, metadata or ID select none: a session has
// no such keys. A scope that Mem0 would have written differently is counted as
// unattributable rather than guessed.
//
// 2026-11-22. History whose memory is gone from every table, as Mem0's own
// delete leaves it, stays: nothing in the store says whose it is. It is counted
// as unattributable, and goes when its memory's ID is asked for.
//
// 2026-11-29. The server logs paths unescaped (Starlette's request.url.path), so
// that a path has one reading: what follows /entities/user/ is the user's ID,
// slashes included, byte for byte. The road not taken, to unescape it once more,
// would take one user's rows for another's whose ID holds a percent sign. A path
// that fills the column may have been cut off and is unattributable.
//
// 2026-11-29. The request log is in a database of its own, which commits first:
// a crash leaves memories that a Find still finds, never rows whose memory
// nobody has. Each batch of memories reads the log once, for it has no index of
// paths; one batch runs at a time, so that two agree on what each of them
// erased.
//
// 2026-11-29. When a memory was made says createdAt or created_at, when it ends
// expiration_date, and when a raw message was made its created_at. Entities and the
// request log say neither, so that no age selects them: an entity goes with the
// last memory that it links to, a row that names a memory with that. A history
// without its memory is one whose memory is in none of the tables that the
// configuration names, and linked from none: name them all before sweeping orphans,
// for several collections of Mem0 may share one history file. Rows of the log that
// name a memory which is gone go with its history, and are no reason to sweep
// alone: their text is a number, and Mem0 prunes them.
//
// 2026-11-22. memory_migrations.user_id is waived: it is the telemetry ID of
// the installation, not a person's.
package mem0
