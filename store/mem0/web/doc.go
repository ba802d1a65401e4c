// Package web erases memories behind Mem0's HTTP APIs.
//
// [client] is how both APIs are asked: with a token that is never sent in the
// clear, no faster than the operator says, as long as an answer takes, and with
// answers that are what the API promises or an error, never an empty list.
//
// # Decisions
//
// 2026-11-29. An answer of another form than the API's is an error wrapping
// store.ErrSchema, and not an empty one: a proxy's page that reads as "nothing
// found" would be certified as an erasure. Members that are not known are let
// pass, for the API grows; members that are needed and missing are not.
//
// 2026-11-29. The text of an error is made here, of the method, the route as it
// stands in Mem0's documentation, and the status. Bodies, paths and the errors of
// net/http are left out: they repeat identifiers, texts and what a server sent.
//
// 2026-11-29. What destroys is not waited for: if the rate limit or a 429 does
// not let it go within a short time of its fence, the call fails with
// store.ErrBusy, and the worker fences again. Reads wait.
//
// 2026-11-29. Redirects are not followed: they would take the token elsewhere.
package web
