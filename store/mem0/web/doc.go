// Package web erases memories behind Mem0's HTTP APIs.
//
// [client] is how both APIs are asked: with a token that is never sent in the
// clear, no faster than the operator says, as long as an answer takes, and with
// answers that are what the API promises or an error, never an empty list.
//
// A [Platform] is Mem0's hosted service, with its memories and its entities. It is
// asked
//
//	POST /v3/memories/                   what a filter lets pass, page by page
//	POST /v3/memories/search/            what search shows besides
//	GET /v1/memories/{id}/               whether one is left
//	GET /v1/entities/                    which users, agents, apps and runs it knows
//	GET /v1/events/, /v1/event/{id}/     what is queued, and how it ended
//	DELETE /v1/batch/                    at most 1000 memories by their IDs
//	DELETE /v2/entities/{type}/{name}/   an entity of which nothing is left
//
// Evidence can be verified; what lies below the API is named by [Excluded].
//
// A [Server] is Mem0's self-hosted REST server, for those who cannot reach its
// database. Its one place is the memories. It is asked
//
//	GET /memories                 what is there, 1000 at most, expired ones too
//	GET /memories/{memory_id}     whether one is left
//	GET /entities                 how many there are, for plans
//	DELETE /memories/{memory_id}  one at a time: nothing is deleted but by its ID
//
// What it deletes it writes into its history, where its API still shows it, and
// messages, entities and the request log keep what they have: [ServerResidue].
// Evidence ends at erased.
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
//
// 2026-11-29. Of the Platform an entity can be deleted by its name alone, and all its
// memories would go with it. It is the one call here that goes by anything but IDs
// of memories. It is made directly after neither list nor search has shown a memory of the
// entity, with all hidden ones, and no write for it is queued; otherwise it is not made,
// and the worker comes back. What is written for it between that and the call goes too.
// The road not taken leaves the person's name in the Platform's list of users.
//
// 2026-11-29. The Platform's documents of 2025 say that a filter which does not name one of
// the four identities means that it is null, later ones do not say. Each list is read both
// ways: as it stands, and with the others named by {"ne": nobody}, which null passes.
//
// 2026-11-29. A list of the Platform is believed when one reading of all its pages
// was told one count, and had so many different rows. Deleting while paging moves rows
// to pages that have been read.
//
// 2026-11-29. Of up to 20 IDs that a list does not show the Platform is asked one by one;
// of more the list is believed, or an absent batch would cost a thousand calls
// within its fence. A memory that only its ID shows is found by Remaining, and the worker
// halves its batch until it is among few.
//
// 2026-11-29. A fact without a user is related to who is selected if it has an agent
// and is of a run in which nobody else took part. An app is everybody's. Deleting with
// delete_linked=true would take what a memory replaced without an ID in a plan, so
// that those are listed, and go like all others, if the request says related.
//
// 2026-11-29. Numbers, truths and odd keys of metadata are not left to the Platform's
// filter, which may compare in its own way: it is asked for more, and what it
// says is compared here.
//
// 2026-11-29. A server's list has 1000 memories and no second page. What is listed
// is erased, and the next list has the rest: verifying finds it and makes it one
// more round. A list of 1000 in which nobody is meant is an error, never "nothing
// left". Plans count what is not listed by the server's own counts.
//
// 2026-11-29. Who is selected by app or metadata alone, or by a name with white
// space, which Mem0 trims or refuses, is looked for in the list of all memories,
// which an admin may have: right up to 999 memories, an error beyond. The road not
// taken, its search, sends a question to the embedding provider for each page and
// promises no completeness.
//
// 2026-11-29. What a memory says is compared here, exactly and by type; the server's
// filters only make lists shorter. A name that an old payload has as a number is
// the name's text, as the server's database compares it.
//
// 2026-11-29. Only the server itself can say that a memory is not there, in its own
// words: the 404 of a proxy, or of a wrong path in url, would be taken for an
// erasure. Opening asks for one memory more than a list may have, since a server
// that does not refuse that is an older one, whose lists end where nobody says.
//
// 2026-11-29. A 502 with the code unknown is no outage: the server answers so for one
// memory that it cannot delete, and the batch is split until that one is alone.
//
// 2026-11-29. One batch runs at a time in one process: the server lets two deletes
// of one memory both say deleted. Between processes the ledger's claims see to it.
package web
