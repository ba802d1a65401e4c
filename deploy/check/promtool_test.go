package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// promtool runs Prometheus's own judge on files of the repository that are put together
// as they are mounted.
func promtool(t *testing.T, old, new string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("LEFT OUT: promtool is not here")
	}
	dir := t.TempDir()
	for _, name := range []string{"compose/prometheus.yml", "prometheus/rules.yml"} {
		text, err := os.ReadFile(filepath.Join(repository(t), "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("promtool", "check", "config", filepath.Join(dir, "prometheus.yml")).CombinedOutput()
	return string(out), err
}

// Prometheus understands what Compose gives it, rules and all.
func TestPrometheusUnderstandsItsConfigurationAndRules(t *testing.T) {
	if out, err := promtool(t, "", ""); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
	for old, new := range map[string]string{
		"rule_files: [rules.yml]": "rule_files: [rule.yml]",
		"scrape_configs:":         "scrape_config:",
		"expr: max by":            "expr: maxx by",
	} {
		if out, err := promtool(t, old, new); err == nil {
			t.Errorf("promtool finds no fault with %s:\n%s", new, out)
		}
	}
}
