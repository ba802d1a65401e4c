// Package queue wakes workers through Asynq.
//
// It is the only package that knows Asynq and Redis. What goes in is a
// [lethe/jobs.Ring], what comes out in some worker is the same Ring, at least
// once if Redis lives and perhaps never if it does not. Nothing here is the
// truth: the ledger is. So a Ring may be lost, doubled, late or stale, and the
// package says what it can about that ([Queue.Waiting], [Queue.Fresh]) and
// leaves it to the reconciler to ring again under a new epoch.
//
// # What Redis is told
//
// The text "<id>:<epoch>", as a task's ID and as its payload; the two queue
// names; and one of four fixed codes when a handler did not succeed. Error
// texts of handlers and values of panics never reach Asynq, because Asynq
// stores them. One Lethe needs one Redis database of its own: a Ring of a
// stranger is answered as stale.
//
// # What Asynq gets wrong, and what stands here instead
//
// A success whose report to Redis fails is never reported again, because the
// repair runs under a context that is already cancelled; the task runs twice
// or is archived. A hook on the client lends those calls a living context. An
// error from Redis while polling makes Asynq poll again at once, thousands of
// times a second; the same hook waits a moment. Asynq abandons a handler as
// soon as its context ends; so shutdown cancels the handler's context, not
// Asynq's, and handlers get ShutdownTimeout to end in order.
//
// # Decisions
//
// 2026-11-22. The queue named "embedded" is miniredis, in this process, behind
// a random password: one program, nothing to install, and every other path the
// same as with Redis. The road not taken, a second queue without Redis, would
// have been the one that most people run and that the fewest tests see.
//
// 2026-11-22. A task that has used up its retries is dropped, not archived. The
// archive forgets beyond 10,000 tasks or 90 days, owns the TaskID meanwhile,
// and breaks when many entries age at once; the ledger forgets nothing and the
// reconciler rings again.
//
// 2026-11-22. [Queue.Waiting] and [Queue.Depth] read Asynq's keys themselves,
// one round trip under the caller's context. The road not taken, Asynq's
// Inspector, takes no context and fails for a whole queue when one task hash is
// missing. A test holds the layout against the Inspector.
//
// 2026-11-22. Fitness is read from INFO, which has both the version and
// maxmemory-policy. The road not taken, CONFIG GET, is forbidden by most
// services that rent Redis out.
//
// 2026-11-22. Whether Redis forgot is told by a counter that only grows, not by
// a key that is there or not: a counter also shows a Redis that came back with
// an older snapshot, and every process notices for itself.
//
// 2026-11-29. deploy/redis.acl lists commands one by one instead of by category:
// @write and @scripting have FLUSHALL and SCRIPT FLUSH in them. Tests run all that
// the queue and the service do under it and look that Redis has denied nothing.
// Commands that Asynq's Inspector alone would need (KEYS, MEMORY USAGE) are not in
// it.
//
// 2026-11-29. Sentinel and Cluster are schemes of the one URL, with the hosts as a
// list and the name of the master as the path; what sentinels ask for themselves
// is apart, for the user and password in the URL are those of Redis everywhere
// else. In a Cluster the two queues may be on two servers: pipelines are split by
// slot, nothing is a transaction, each queue has its own counter for Fresh, and
// Ping asks the servers that hold them. The road not taken, one hash tag for all,
// would have needed other names than Asynq's and put all on one server.
//
// 2026-11-29. How many processes work is read where Asynq's servers say that they
// live. The road not taken, a table in the ledger, would say the same thing twice.
package queue
