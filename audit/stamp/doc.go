// Package stamp asks a time stamping authority (RFC 3161) to say when a head of
// the log existed, and checks what it says.
//
// A time stamp is the word of a third party about the time, where the times in
// the entries are the operator's word. It says nothing about whether the log
// grew: that is what witnesses are for.
//
// # Decisions
//
// 2026-11-28. The tokens are read by github.com/digitorus/timestamp, whose
// checks stop at the signature. So [Check] adds what RFC 3161 asks of who relies
// on a token: one signer, that the signed thing is a time stamp, that the
// signer's certificate is the one the signature names (RFC 5816), that it may
// stamp times and do nothing else, and that SHA-1 is not in the chain of
// argument.
//
// 2026-11-28. A certificate counts if it was valid at the time in the token, and
// not at the time of checking, for certificates outlive their keys. Revocation
// is not looked up: a token is checked offline, years later.
//
// 2026-11-28. An authority that grants with modifications is refused. What was
// asked for can be granted as it is, or not at all.
package stamp
