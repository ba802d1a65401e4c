// Package api is the HTTP API and its client: both ends of the wire in one
// package, so that they cannot drift.
//
// [New] returns the handler that cmd mounts, [Server] an http.Server with the
// limits that go with it, and [NewClient] the other end. [Authenticate] tells who
// calls. [Request], [Plan] and
// [Problem] are the shapes that travel between them. The routes, their limits
// and their answers stand in one table (routes.go), from which both the mux and
// the OpenAPI document are made.
//
// # Reading
//
// A body is read once, token by token, by a decoder that refuses whatever two
// readers could understand differently: duplicate keys, keys in other cases,
// unknown keys, null, other JSON types, text that is not UTF-8, a second value
// after the first. Explicit IDs are handed on a batch at a time while they are
// read, so a million of them never stand in memory.
//
// # Refusing
//
// An error names the field and what to do, and never repeats the value. That
// holds for keys as well: an unknown key may be somebody's address, so the
// answer names the object it stands in and the keys that are known there.
//
// # Decisions
//
// 2026-11-22. huma makes the OpenAPI 3.1 document from our wire types, and
// net/http serves. The road not taken was huma.Register: it reads a body whole,
// validates with errors that carry the value, and is taught otherwise only by
// assigning its package variable NewError, for every user in the process.
//
// 2026-11-22. A value of the wrong shape is 400 and one that cannot be meant is
// 422: a number as user_id is 400, a blank one is 422. regime, ground,
// received_at, grace and cursor are codes and times, so the book's refusal of
// them is 400 as well. A missing selector is 422, as it is an empty one.
//
// 2026-11-22. The selector travels in bodies only. Queries and paths end up in
// the logs of proxies, so nothing personal is ever put into one, and the
// handler logs the route and not the URL.
//
// 2026-11-22. Progress is read from the book on a ticker, one reader a stream,
// instead of being announced by whoever makes it: workers may run in other
// processes, and the ledger is the one thing all of them share.
//
// 2026-11-28. The answer to a filing has the receipt in it, waits 2 s for it at
// most, and is 202 without: the request is durable by then, and an error would
// make the client file it again.
//
// 2026-11-29. Each route names the act that it is for (jobs.Act), and is asked for it
// before anything of the call is read. A route that names none lets nobody in.
//
// 2026-11-29. HTTP/1.1 alone, also over TLS: what bounds a client (deadlines of
// bodies, streams that end) is known to work there, and more streams within one
// connection would be one more thing to bound.
//
// 2026-11-29. A call that a proxy says it has passed on is not from this machine, even
// if it comes over loopback: an open service behind one would be open to the world.
//
// 2026-11-29. The rate is counted once it is known who calls, by token, so that
// callers behind one proxy do not take each other's share; and refused tokens are
// counted by address, but a good one never is, so that nobody can lock another out.
// The road not taken, a count by address before the token is looked at, would do
// both. There is no limit of depth for JSON, because nothing reads a value that was
// not asked for: an array where a string belongs is refused at its first bracket.
//
// 2026-11-29. The document tells of every door of the service: cmd gives the calls of
// the others (Options.Operations). It is made when it is first asked for, and says of
// each call every status that it may have; 431, 500, and 415 where no body is taken are
// said once, as the default. Its examples are values of the types that are sent, and files
// of a real erasure. Text has a pattern, and bytes have nothing. The road not taken was a
// document kept by hand beside the code: what is made of the routes cannot lack one.
//
// 2026-11-29. A client that has read all that it takes of an answer says so instead of
// giving the beginning: half a certificate must not look like a bad one.
package api
