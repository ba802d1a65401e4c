// Package witness is a C2SP tlog-witness: the server that cosigns a log's heads
// after checking that the log only grew, and the client that a log asks with.
//
// A witness remembers one head of each log, the newest that it cosigned. It
// cosigns a larger one if the log proves that it grew from that, and nothing
// else. So a log cannot show one history to some and another to others, as long
// as both look for the cosignature. It is worth as much as the witness is
// independent: another machine, and a key that belongs to other people.
//
// # What is kept
//
// [Server] keeps a key, in a file of its own, and a state folder:
//
//	witness            the verifier key, and the logs that were ever cosigned
//	HASH               the newest cosigned head of a log, after a line with its digest
//	HASH.contradiction two heads of one size that the log has signed, if it did:
//	                   a lethe/fork-evidence@v1, which lethe-verify checks
//
// where HASH is the SHA-256 of the log's origin in hexadecimal. A witness that
// forgot what it cosigned would cosign a second history. So the key and the
// folder are made together, each is refused without the other, and a folder
// that lacks or has damaged a file is refused too. There is no repair: a witness
// whose state is lost is retired. Start a new one with a new key, and let those
// who trusted the old key decide. For the same reason the folder must not be
// restored from a backup.
//
// # Decisions
//
// 2026-11-28. A head of the remembered size with another root is answered with
// 422, as tlog-witness says since July 2026. It said 409 before, and the client
// takes either. Where the old size is wrong as well the answer is 409, for the
// comparison of sizes comes first in the specification.
//
// 2026-11-28. A consistency proof where there is nothing to prove (from size 0,
// or between equal sizes) is a wrong proof, 422, and not a malformed request.
//
// 2026-11-28. Of the submitted signatures the witness keeps those that it has
// verified. What else stood there could have been written by anybody, and would
// be published under the witness's name.
//
// 2026-11-28. Extension lines are let through, though our own logs have none: a
// witness serves other people's logs as well. The cosignature covers them and
// says nothing about them (C2SP tlog-cosignature, Ed25519 signed message).
//
// 2026-11-28. A log's keys are believed as configured, without limit: during a
// rotation both are given, and the operator of the witness takes the old one
// away. The road not taken was to learn new keys from the log, which would let
// a stolen key announce its own successor.
//
// 2026-11-28. An error after the new head was renamed into place, and before
// the folder is known to be on disk, stops the witness for that log until it is
// started again. A disk that cannot say what it holds is not asked twice.
package witness
