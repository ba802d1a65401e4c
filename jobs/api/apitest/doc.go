// Package apitest checks what an HTTP API answers against its OpenAPI document,
// with a validator that is not ours.
//
// [Read] takes the document as it is served and refuses it if it is not
// OpenAPI 3.1, by the schema that the OpenAPI Initiative publishes
// (openapi-3.1.json, 2022-10-07), or if one of its own schemas is not JSON
// Schema 2020-12. [Document.Check] then compares one call with it, and
// [Document.Watch] every call that a handler answers.
//
// # Decisions
//
// 2026-11-29. An answer may not have a field that is not documented, although
// the document lets clients meet some: it tells of the service that serves it.
// What was accepted must fit the document, and what was refused need not be
// refused by it: a schema cannot say all that a decoder knows.
package apitest
