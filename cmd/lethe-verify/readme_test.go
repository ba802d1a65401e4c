package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// readmePart returns the one group that a pattern has in the README.
func readmePart(t *testing.T, pattern string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(readme)
	if found == nil {
		t.Fatalf("the README has nothing like %s", pattern)
	}
	return string(found[1])
}

// run runs the command in a folder.
func run(t *testing.T, dir, args string) (int, string) {
	t.Helper()
	t.Chdir(dir)
	var out bytes.Buffer
	status := proof.RunVerify("lethe-verify", strings.Fields(args), findCurl().at, &out, &out)
	return status, out.String()
}

func TestTheCertificateInTheReadmeVerifiesAsItSays(t *testing.T) {
	says := readmePart(t, `(?s)\n    \$ lethe-verify nora[.]cert --key log[.]key[.]pub\n(.*?)\n\n`)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"nora.cert":   readmePart(t, "(?s)```\n(c2sp.org/tlog-proof@v1\n.*?)```"),
		"log.key.pub": readmePart(t, "`(lethe[.]local/[^`]*)`"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out := run(t, dir, "nora.cert --key log.key.pub")
	shown := strings.ReplaceAll(says, "\n    ", "\n")
	if shown = strings.TrimPrefix(shown, "    ") + "\n"; status != 0 || out != shown {
		t.Errorf("status %d\n%s\nthe README says\n%s", status, out, shown)
	}
}

func TestWhatTheReadmeHasTheAuditorTryEndsAsItSays(t *testing.T) {
	const folder = "../../deploy/auditor"
	section := readmePart(t, `(?s)\n## For the auditor\n(.*?)\n## `)
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := regexp.MustCompile(`(?m)^    lethe-verify (.*?) +# (\d+)\b`).FindAllStringSubmatch(section, -1)
	seen := map[string]bool{}
	for _, line := range lines {
		status, out := run(t, dir, line[1])
		if strconv.Itoa(status) != line[2] {
			t.Errorf("lethe-verify %s: status %d, the README says %s\n%s", line[1], status, line[2], out)
		}
		seen[line[2]] = true
	}
	for _, status := range []string{"0", "5", "10", "30"} {
		if !seen[status] {
			t.Errorf("the README shows nothing that ends with %s, in %d commands", status, len(lines))
		}
	}
}
