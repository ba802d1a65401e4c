package main

import (
	"errors"
	"strings"

	"lethe/audit/proof"
)

// errOtherFile says nothing of what came instead, which may be anything.
var errOtherFile = errors.New("what answered has sent something else than that file: is it lethe?")

// checkFile refuses what is not the file that was asked for: a page of some
// proxy, or another request's. It checks no signature, for that takes a key that
// did not come from the same server.
func checkFile(text []byte, request string, accepted, memory bool) error {
	if memory {
		m, err := proof.ParseMemoryProof(text)
		if err != nil {
			return errOtherFile
		}
		text = m.Certificate
	}
	certificate, err := proof.ParseCertificate(text)
	if err != nil {
		return errOtherFile
	}
	e, err := proof.Decode(certificate.Entry)
	if err != nil {
		return errOtherFile
	}
	var about *proof.Terms
	switch e := e.(type) {
	case *proof.Accepted:
		about = &e.Terms
	case *proof.Completed:
		about = &e.Terms
	case *proof.Cancelled:
		about = &e.Terms
	case *proof.Rejected:
		about = &e.Terms
	}
	if about == nil || !strings.EqualFold(about.RequestID, request) || accepted != (e.Kind() == proof.KindAccepted) {
		return errOtherFile
	}
	return nil
}

// checkKey refuses what is not the verifier key of a log.
func checkKey(text string) (string, error) {
	if k, err := proof.ParseVerifyKey(text); err != nil || k.Cosigns() {
		return "", errOtherFile
	}
	return text, nil
}
