// Package trace tells an OpenTelemetry collector what the work on each request
// takes, by OTLP over HTTP.
//
// The trace of a request has the request's ID, without dashes, for its own: any
// process, also after a restart, knows it without being told, and so does whoever
// has the ID. Its root is the request itself, from its filing to its end; below it
// are the steps: accept, plan, batch (erase, read_again), settle (verify, purge,
// certify).
//
// A span says which request, store and step it is about, how many IDs, which attempt
// and a code for how it ended. It never has an identifier of a person or of a memory,
// nor the text of an error.
//
// # Decisions
//
// 2026-11-29. The trace ID is derived and not stored: a column of the ledger would
// have to be written with the request, migrated and imported, and say no more. For the
// same reason the queue carries nothing but its rings.
//
// 2026-11-29. A step that begins more than a day after its request was filed begins a
// trace of its own, which links to the request's. Those who keep traces close them
// after hours or days, and a grace period or a hold may last for months.
//
// 2026-11-29. Whoever files a request may send a traceparent. It is linked to from
// accept and is nobody's parent: his sampling must not decide about ours. His
// tracestate and baggage are not looked at, since they may say anything. otelhttp is
// not used: it would send the paths of Mem0's API, which name people.
//
// 2026-11-29. A collector that is slow, away or wrong costs spans and nothing else.
// They wait in a queue of 2,048 and are dropped when it is full; nothing in the work
// ever waits for it.
package trace
