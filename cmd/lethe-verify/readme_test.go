package main

import (
	"os"
	"regexp"
	"testing"

	"lethe/audit/proof"
)

func TestTheCertificateInTheReadmeVerifies(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	cert := regexp.MustCompile("(?s)```\n(c2sp.org/tlog-proof@v1\n.*?)```").FindSubmatch(readme)
	key := regexp.MustCompile("`(lethe[.]local/[^`]*)`").FindSubmatch(readme)
	if cert == nil || key == nil {
		t.Fatal("the README shows no certificate, or no key")
	}
	keys, err := proof.ParseKeys(key[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Verify(cert[1], keys); err != nil {
		t.Error(err)
	}
}
