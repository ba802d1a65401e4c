// Package webhook tells others when the status of a request changes.
//
// What is told is a few codes, counts, times and the request's ID, never whom it
// is about. It is told at least once: receivers know a notice by its webhook-id.
// The ledger keeps each notice, with the very bytes, from the transaction of the
// change until it was taken or given up after 90 days, or what the configuration says; so a crash loses none,
// and of several processes one at a time has it. For one request and one receiver
// notices go in order: the next waits for the one before.
//
// Signatures are those of Standard Webhooks (version 1): headers webhook-id,
// webhook-timestamp and webhook-signature, the last being "v1," and the
// base64 of HMAC-SHA256 over "id.timestamp.body" for each secret. The time is
// that of the try, so that a receiver can refuse what is older than 5 minutes.
//
// # Where it may go
//
// A URL is given by whoever files a request, and this service stands inside a
// network. So a URL must be https, of a plain host name or address and an allowed
// port ([Rules.Check]); and the address that the name leads to is looked at when
// the connection is made, after the name was resolved, so that a name that
// changes its mind in between gains nothing ([Rules.CheckAddress]). There are no
// redirects, no proxy of the environment, 5 s for all of it, and at most 64 KiB of
// the answer are read. Errors and logs never hold a URL.
//
// # Decisions
//
// 2026-11-29. Notices are made by a trigger of the ledger's tables, and not where
// Go code sets a status: there are many such places and there will be more, and a
// notice that one of them forgets would be missed by nobody but the receiver.
//
// 2026-11-29. The URL is sealed under a key of its own, which is destroyed with
// it once the request has ended and the last notice is told: the key that seals
// the rest of the request is gone by the time its end is told.
//
// 2026-11-29. A notice to a receiver that is being told waits for it, a second at
// most, before it is put back, and when all that could be begun was, the next
// begins with the end of one. Before that a receiver heard of four changes in a
// second, so one told of every request fell behind for ever.
//
// 2026-11-29. One secret, or several while it is changed, signs for all
// receivers. The road not taken, a secret for each URL, would have to be kept as
// long as the URL and handed out in an answer.
package webhook
