// Package mem0 answers Mem0's own clients: it is the door under /mem0, through
// which what they delete is erased by Lethe. Only their host is changed.
//
// It speaks the deleting part of two APIs, by Mem0's paths, bodies, messages and
// status codes: that of the Mem0 Platform (/v1, /v2) and that of the self-hosted
// server (/memories, /entities). Each call files an ordinary request, with origin
// mem0-api and a certificate; its ID is the event_id of the answer. Nothing is read
// or written through this door, and nothing is erased by wildcard.
//
// # Saying success
//
// What Mem0 answers once it has deleted is answered once every job of the request
// is verified, or after 10 s with the event to poll: 202, in the words of Mem0's own
// asynchronous answers, and the reason. Success is never said of what is held,
// refused, exempt or waits for an approval.
//
// # Decisions
//
// 2026-11-29. A parameter that is not known is refused: a filter that Lethe does not
// know would, ignored, erase more than was asked. org_id and project_id are the
// exception: a Platform client adds them to every call, and they name an account of
// Mem0's, of which Lethe has none. For the same reason calls that take no body are
// refused with one.
//
// 2026-11-29. Before one memory's erasure is filed, the stores say whether there is
// anything of it: of an unknown one nothing is filed, and the answer is Mem0's 404. An
// asker who retries with an Idempotency-Key gets the answer that he missed, though
// the memory is gone by then. A memory of which only its history is left is known:
// that is what is to be erased. If a store is down nobody can say: the request is
// filed, and the answer is that it is in progress.
//
// 2026-11-29. The API reads the book to see how far a request is, at first every 2 ms
// and then ever more slowly, up to four times a second, instead of being told: the
// worker may be another process.
//
// 2026-11-29. What this door does not do is answered with 405, also at paths that
// Mem0 knows and Lethe does not, and not with 404: Mem0's clients take a 404 for a
// memory that is not there.
//
// 2026-11-29. An event is SUCCEEDED when the rows are verified to be gone, as the
// answers that wait are: the files of a store may be purged, and the certificate cut,
// in the night. A request that was cancelled or rejected, or ended with a part
// refused, is FAILED.
//
// 2026-11-29. Mem0's Python client does not escape the names of entities: of bob#2 it
// asks to delete bob, who is somebody else, and all that tells is that the slash at
// the end is gone as well. So from httpx that path is refused without one.
package mem0
