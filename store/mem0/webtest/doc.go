// Package webtest stands in for Mem0's HTTP APIs: [Platform] for the one of
// api.mem0.ai. It is an http.Handler with a world in memory, faults on demand and
// a log of its calls, and keeps to what Mem0's documentation says of the real one,
// the awkward parts first:
//
//   - lists come in pages of at most 200, newest first, so that rows move between
//     pages when others come and go
//   - a filter must name a user, agent, app or run, and an unknown key in it is
//     refused; on request, those of the four that it does not name must be null
//   - expired and merged rows are hidden unless asked for
//   - metadata is compared loosely, as text
//   - a batch of deletions is answered with one sentence, and more than 1000 with
//     400; what is not there is no error
//   - an entity is deleted later, by an event that has to be polled
//   - the history keeps the texts of what was deleted
//
// # Decisions
//
// 2026-11-29. What is not documented is not invented kindly: the count in the
// sentence is the number asked for, not of what was there.
package webtest
