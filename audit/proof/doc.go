// Package proof holds entries and certificates, and checks them without a
// database, a network or cgo.
//
// An [Entry] is one line of the log: canonical JSON that has no field which
// could hold a name, an address or a memory. A [Certificate] carries one entry
// with the proof that a signed head of the log covers it, in one text file
// (C2SP tlog-proof@v1). [Verify] needs that file and a [Policy], which says whom
// to believe: the log's public key alone, or witnesses too.
//
// # What a certificate proves
//
// That whoever holds the log's key committed to this statement, unchanged, at
// this place in the log. It does not prove that the statement is true, that no
// copy exists elsewhere, or when it was made: the times in it, and the one that
// the log signs its heads with, are the operator's word. A witness's
// cosignature adds that somebody else saw this head by a time of his own, and
// that it continued what he had seen before. [Result.Write] says no more than
// that, and keeps the three kinds of time apart.
//
// # Two things that look alike
//
// [ErrNotVerified] means that something presented as proof is none.
// [ErrDiverged] means more: two heads, both well signed, that no single
// append-only log can have. It is [Evidence] against the operator, in a file
// that anyone can check.
//
// # Decisions
//
// 2026-11-22. Entries are JSON in a restricted profile, and the exact bytes
// are hashed, stored and shipped. Decode encodes again and compares, so there
// is one spelling of an entry and no parser to disagree with ours. The road
// not taken was CBOR, a seventh smaller, which no customer can read.
//
// 2026-11-22. Our own parser for tlog-proof, which formats what it has read
// and compares. Parsers built on lenient base64 and line scanners take CRLF,
// leading zeros and stray padding bits, and then one proof has many texts.
//
// 2026-11-22. One signature line for each key. The note package looks at the
// first line of a key and ignores the others, so a second one could say
// anything; here it is refused.
//
// 2026-11-22. Times of an entry are not compared with each other. They come
// from several machines, and a clock set back must not make a finished erasure
// impossible to certify. What the operator's clocks said stands there.
//
// 2026-11-28. Entries are written and read by a codec of our own. Each kind
// declares its members once; the declaration writes, reads and checks, and what
// it can declare is a closed set of value types, none of which takes free text.
// The standard library's codec looks into structs by reflection: it took 146 µs
// to decode a completed entry, of which a full check of a million would have
// needed two minutes, against 8 µs now; and it made lethe-verify larger. The
// canonical form is compared in tests with an implementation that is not ours.
// Selectors have a reader of their own too, compared with the standard
// library's.
//
// 2026-11-28. A completed entry says no more than its figures, and no less.
// What they imply was not reached (a store that was not purged, IDs under a
// hold, rows that nothing ties to anyone) stands among its exclusions, and
// nothing of these codes stands there that they do not imply. Its times that
// sum the stores up must be those of the stores. Exclusions are sorted and each
// stands once, so that one statement has one spelling.
//
// 2026-11-28. The keys of a log, its policies and its succession are entries
// like all others, not a table beside the log: who trusts a head can derive
// from it which keys to believe, and since when.
//
// 2026-11-28. A memory proof has sides instead of an index and a size. A root
// commits to neither (RFC 6962), so "leaf 17 of 1000" would be a statement that
// nobody could check; "under this root" is all that a path shows.
//
// 2026-11-28. A memory proof holds neither the memory's ID nor the key: the file
// may be passed on and kept, and says something only to who had both already.
//
// 2026-11-28. Too few witnesses are not an error of [Verify] but a question of
// its own, [Result.Witnessed]: the certificate is sound, and who relies on it
// decides. The exit statuses tell the two apart.
//
// 2026-11-28. Policies are stricter than C2SP tlog-policy in three points: keys
// of types that are not supported are refused instead of never counting, a
// witness may not have a log's own key, and key names are printable ASCII as
// origins are. The bound of a retired key stands in a comment, so that other
// readers can use the file; they believe the key for longer.
//
// 2026-11-28. Evidence of a fork has the consistency path with b false (RFC
// 6962, section 2.1.2), one hash longer than a consistency proof for sizes that
// are powers of two. A consistency proof that does not verify shows nothing:
// anyone can write a wrong one. From this path both roots are computed, and the
// larger signed head binds it.
//
// 2026-11-28. Of the statuses of several files, one that could not be read
// outranks one with too few witnesses: of the latter it is known that it is
// sound.
//
// 2026-11-29. A completed entry counts by place too, and the places must add up
// to their store. It is an optional member, so that entries from before are
// still read. Rows that hang on others are counted as planning found them: no
// receipt is given for them, since they are named in no plan.
package proof
