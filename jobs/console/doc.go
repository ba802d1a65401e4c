// Package console is the web page on which a privacy team works.
//
// [New] returns the handler that cmd mounts at / and /console/. It shows the
// open requests with the nearest deadline first, one request with counts that
// move, files a request after its plan has been looked at, lets a second person
// approve, keeps legal holds, and says how to check the log. It is made of
// html/template, one style sheet and one small module of script; all works
// without the script but the moving counts.
//
// # Who
//
// A page is always asked by a [jobs.Actor]. On a service without tokens that is
// [jobs.ActorOpen], and every page says so in red. Otherwise somebody signs in,
// with a token of the API or through an OpenID provider, and has a session. A
// token is asked for again with each call, so that one that was revoked ends
// its session at once. Nothing of an OpenID provider's is kept but who it was
// and which role he has.
//
// # Decisions
//
// 2026-11-29. What was typed into a selector is never sent back: not in the
// plan, not in an error, not on a page. Between the plan and the filing it
// stands in the memory of this process, for 15 minutes at most, under a random
// name that only its session may use. The road not taken, hidden fields, would
// put it into pages that browsers keep. The price is that a mistake in the form
// has to be typed again.
//
// 2026-11-29. Sessions are in memory. A restart signs everybody out, and several
// processes behind one address need a proxy that keeps a browser at the same
// process. The road not taken, sessions in the ledger, would keep tokens at rest
// or need a second kind of them.
//
// 2026-11-29. The session's cookie is SameSite=Strict, which the answer of an
// OpenID provider cannot bring along. So what that round trip must remember
// (state, nonce, PKCE verifier) is in a cookie of its own, sealed, Lax and 10
// minutes old at most, and after it a page of ours goes on to the console. The
// same page lets somebody in who followed a link from elsewhere.
//
// 2026-11-29. A state-changing call needs a token of the form, which depends on
// the session, and must pass http.CrossOriginProtection: either would do, and a
// cookie alone never does. The sign-in form has no session yet; its token is
// bound to a cookie of its own, so strangers cannot fill the memory with
// sessions.
//
// 2026-11-29. Progress is sent as "something has changed", upon which the page
// asks for itself anew and takes the part that moves. So the pages exist once,
// in the templates. The road not taken, sending counts, says everything twice.
package console
