// Command lethe-verify checks erasure certificates, with no other software and
// without trusting whoever made them.
//
// # Decisions
//
// 2026-11-22. Its own HTTP GET, in eighty lines over net and crypto/tls. An
// auditor should be able to carry this binary on anything; net/http alone
// would make it a fifth larger. What comes over the wire is not trusted
// anyway: tiles are checked against a signed head.
package main

import (
	"os"

	"lethe/audit/proof"
)

func main() {
	os.Exit(proof.RunVerify("lethe-verify", os.Args[1:], fetchURL, os.Stdout, os.Stderr))
}
