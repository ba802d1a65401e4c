// Package keyfile keeps the log's signing key: in a file or in an ssh-agent,
// and its rotation on disk.
//
// Beside the key at PATH stand:
//
//	PATH.pub                 its verifier key, to hand out
//	PATH.next                the key that follows it, while a rotation lasts
//	PATH.retired-HASH.pub    the verifier key of one that was retired
//	PATH.retiring            a key that is being retired, for a moment
//	PATH.successor, PATH.tmp files that are being made, for a moment
//
// # Crashes
//
// Each file appears whole, by a rename, and a new key comes into force by one
// rename over the old one, which PATH.retiring still names then. So a process
// that dies leaves either the old key in force, and the next call begins
// anew, or the new one, and the next call, whichever it is, carries the rest
// out: the public half follows, that of the old key is kept, and the old
// private key is overwritten and removed. Calls take turns by a lock on the
// folder, which goes with the process.
//
// # Decisions
//
// 2026-11-28. A key in an agent is one line in the same file, AGENT+KEY and
// the verifier key, so that everything else, rotation above all, is the same
// for both. The socket is not in it: it changes with each login.
//
// 2026-11-28. Each signature dials the agent anew. A connection that is kept
// would have to be mended whenever the agent is started again, and to dial a
// socket of this machine costs less than the signature.
//
// 2026-11-28. Opening a key does not ask its agent, so that a log can be read
// while its agent is away.
//
// 2026-11-28. The lock is taken on the folder, not on a file of its own: there
// is nothing to leave behind or to clean up.
//
// 2026-11-28. What the disk itself keeps of an overwritten file (SSD
// remapping, snapshots) is outside of what this package can destroy. Whoever
// needs more keeps the key in an agent.
package keyfile
