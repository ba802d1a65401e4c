package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/audit"
)

func names(t *testing.T, anchors []audit.Anchor) []string {
	t.Helper()
	var all []string
	for _, a := range anchors {
		all = append(all, a.Name())
	}
	return all
}

func TestAnchorsStandInTheConfiguration(t *testing.T) {
	path := writeConfig(t, `data: d
anchors:
  - file: elsewhere/head
  - put: https://heads.example/one?sig=hunter2
    get: https://heads.example/one
    token_file: t
  - s3: {endpoint: "https://s3.example", region: eu-1, bucket: heads, key: lethe/head, key_id_file: id, secret_file: s, retain: 365d}
`)
	c, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	anchors, err := c.logAnchors()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "d", "log.head"), filepath.Join(dir, "elsewhere", "head"), "heads.example", "s3://heads/lethe/head"}
	if d := cmp.Diff(want, names(t, anchors)); d != "" {
		t.Error(d)
	}
	for _, p := range []string{c.Anchors[1].TokenFile, c.Anchors[2].S3.KeyIDFile, c.Anchors[2].S3.SecretFile} {
		if filepath.Dir(p) != dir {
			t.Errorf("%s does not start at the file's folder", p)
		}
	}
	for name, text := range map[string]string{"policy": "witness a " + watcher(t) + " http://127.0.0.1:1/\nquorum none\n", "c.yaml": "witnesses: policy\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := Load(filepath.Join(dir, "c.yaml"), Overrides{}); err != nil || c.Witnesses != filepath.Join(dir, "policy") {
		t.Errorf("witnesses: %q, %v", c.Witnesses, err)
	}
	if c, err = Load("", Overrides{Data: dir}); err != nil {
		t.Fatal(err)
	}
	if anchors, err := c.logAnchors(); err != nil || len(anchors) != 1 {
		t.Errorf("anchors without any configured: %v, %v", names(t, anchors), err)
	}
}

func TestFaultsOfThoseOutsideSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "anchors:\n  - {}\n", "anchors[0]: must have either file, or put"},
		{"two at once", "anchors:\n  - {file: a, put: 'https://x.example/hunter2'}\n", "lethe.yaml:2:5: anchors[0]: must have either"},
		{"get alone", "anchors: [{get: 'https://hunter2.example'}]\n", "anchors[0]: must have either"},
		{"token of a file", "anchors: [{file: a, token_file: b}]\n", "anchors[0]: must have either"},
		{"twice", "anchors: [{file: a}, {file: ./a}]\n", "anchors[1]: is there already"},
		{"the one that is always there", "data: d\nanchors: [{file: d/log.head}]\n", "anchors[0]: is there already"},
		{"no URL", "anchors: [{put: hunter2}]\n", "anchors[0]: anchor must be an http or https URL"},
		{"a password", "anchors: [{put: 'https://u:hunter2@x.example/a'}]\n", "URL without user"},
		{"no bucket", "anchors: [{s3: {endpoint: 'https://x.example', region: r, key: k, key_id_file: i, secret_file: s}}]\n", "anchors[0]: S3 anchor"},
		{"no credentials", "anchors: [{s3: {endpoint: 'https://x.example', region: r, bucket: bbb, key: k}}]\n", "credentials"},
		{"unknown key", "anchors: [{fil: a}]\n", "is not a key"},
		{"no policy", "witnesses: nowhere\n", "lethe.yaml:1:12: witnesses: "},
		{"no policy's text", "witnesses: lethe.yaml\n", "witnesses: "},
		{"no roots", "stamps: {url: 'https://tsa.example', roots_file: nowhere}\n", "stamps: "},
		{"roots that are none", "stamps: {url: 'https://tsa.example', roots_file: lethe.yaml}\n", "stamps: root certificates: none"},
		{"a wrong interval", "stamps: {url: 'https://tsa.example', roots_file: x, every: daily}\n", "stamps.every: must be a duration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(writeConfig(t, tt.text), Overrides{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || exitStatus(err) != exitUsage {
				t.Errorf("error = %v\nwant a usage error with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error repeats a secret: %v", err)
			}
		})
	}
}

func TestWitnessesWithoutAURLAreNotAsked(t *testing.T) {
	w := watcher(t)
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy")
	for text, want := range map[string]int{
		"witness a " + w + "\nquorum none\n":                                                -1,
		"witness a " + w + " http://127.0.0.1:1/\nquorum none\n":                            1,
		"witness a " + w + " http://127.0.0.1:1/\nwitness b " + watcher(t) + "\nquorum a\n": 1,
	} {
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Config{Witnesses: policy}
		if all, err := c.logWitnesses(); len(all) != max(want, 0) || (err != nil) != (want < 0) {
			t.Errorf("%q: %d witnesses, %v, want %d", text, len(all), err, want)
		}
	}
}
