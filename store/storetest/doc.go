// Package storetest holds the contract every Store must keep, and an in-memory
// Store with faults on demand.
//
// [Run] is the contract: each of its cases is a promise that package store
// makes, under the promise's name. A Store's own test opens a [Fixture] and
// calls Run; what only that Store can get wrong it tests itself.
//
// [Memory] keeps the same contract until a test sets one of its [Faults]. It is
// what tests of the floors above run against.
//
// # Decisions
//
// 2026-11-22. A Fixture shows every row and every byte, since the promises that
// matter are about what is left and what is untouched. The road not taken,
// asking the Store itself, lets a Store vouch for itself.
package storetest
