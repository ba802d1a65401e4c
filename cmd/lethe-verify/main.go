// Command lethe-verify checks erasure certificates, with no other software and
// without trusting whoever made them.
//
// # Decisions
//
// 2026-11-28. A log at a URL is fetched by curl, as a child process. An auditor
// should be able to carry this binary on anything and to read all that is in
// it; HTTP with TLS made half of it. What comes over the wire is not trusted
// anyway: tiles are checked against a signed head. Where there is no curl, the
// log can be copied to a folder and given as that. Until then (2026-11-22) there
// was a GET of our own over net and crypto/tls.
package main

import (
	"os"

	"lethe/audit/proof"
)

func main() {
	os.Exit(proof.RunVerify("lethe-verify", os.Args[1:], findCurl().at, os.Stdout, os.Stderr))
}
