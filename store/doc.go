// Package store says what it takes to erase memories from a place that keeps
// them.
//
// A [Store] lists what a [Selector] selects, erases by explicit [ID] and reads
// again. It cannot erase by predicate: nothing here deletes "everything that
// matches", so a bug in a predicate can list too much, which a plan shows, but
// cannot silently destroy it.
//
// # What an ID is
//
// A store keeps a person's data in several places: rows that stand on their
// own (a memory, an entity, a raw message) and rows that hang on one of those
// (the history of a memory, a link from an entity to it). An [ID] names a row
// of the first kind and means the row with all that hangs on it. That is why
// a row written to a memory's history after planning goes with the memory,
// although no plan has ever listed it.
//
// # Decisions
//
// 2026-11-22. IDs carry the name of their place ("memories", "entities")
// instead of being bare strings. The road not taken was one ID for every row
// of every place: rows that hang on a memory can appear between planning and
// erasing, and a frozen list of them would miss those.
//
// 2026-11-29. A sweep's selector is frozen, and so is its plan, but rows go on
// living: an expiration can be taken away, or put off, between the two and the
// erasure. So a sweep erases under [WithStill], and the store compares once more in
// the transaction that erases, where nobody can get in between. What does not match
// any more has an outcome of its own, Kept: it is not Absent, since it is there, nor
// Refused or Held, which say that it should go. The road not taken, to ask again
// directly before Erase, only makes the window smaller. Requests of people do not
// do so: whom they select by does not end by itself.
package store
