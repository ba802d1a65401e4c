package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every configuration in deploy/ is one that the service takes, with the roles that it is
// run with there. Their secrets are made up, in place of /run.
func TestTheConfigurationsOfDeployAreGood(t *testing.T) {
	files := map[string][]string{
		"compose/lethe.yaml":                        {allRoles},
		"systemd/lethe.yaml":                        {allRoles},
		"kubernetes/overlays/small/lethe.yaml":      {allRoles},
		"kubernetes/overlays/production/lethe.yaml": {roleAPI, roleWorker, roleScheduler},
	}
	found := 0
	err := filepath.WalkDir("../../deploy", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "grafana" {
			return fs.SkipDir // its lethe.yaml is Grafana's
		}
		if err == nil && d.Name() == "lethe.yaml" {
			name, _ := filepath.Rel("../../deploy", path)
			if found++; files[filepath.ToSlash(name)] == nil {
				t.Errorf("%s is not tried here", name)
			}
		}
		return err
	})
	if err != nil || found != len(files) {
		t.Fatalf("%d configurations, %v", found, err)
	}
	for name, roles := range files {
		for _, role := range roles {
			var talk bytes.Buffer
			status := run(t.Context(), []string{"serve", "--config", deployed(t, filepath.Join("../../deploy", name)), "--roles", role, "--check"}, nil, io.Discard, &talk)
			if status != exitDone || !strings.Contains(talk.String(), "the configuration is good") {
				t.Errorf("%s --roles %s: status %d\n%s", name, role, status, &talk)
			}
		}
	}
}

// deployed writes a configuration with its files below a folder of the test's, and makes
// those in /run.
func deployed(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)(^|\s)#.*$`).ReplaceAll(text, nil) // a comment names no file
	dir := t.TempDir()
	secret := regexp.MustCompile(`/run/[a-z][^\s,}]*`)
	for _, name := range secret.FindAllString(string(text), -1) {
		content := "hunter2"
		switch filepath.Ext(name) {
		case ".pem", ".crt":
			ca, err := os.ReadFile(newIssuer(t).file("ca.pem"))
			if err != nil {
				t.Fatal(err)
			}
			content = string(ca)
		}
		if base := filepath.Base(name); base == "ledger" || base == "mem0" {
			content = "postgres://lethe:hunter2@db.example/lethe?sslmode=verify-full"
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "lethe.yaml")
	if err := os.WriteFile(config, secret.ReplaceAllFunc(text, func(name []byte) []byte { return []byte(dir + string(name)) }), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}
