package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
)

// A change of a rule that matters is seen by one of its stories. With
// LETHE_ALERT_CHANGES=1 all alerts are tried, which takes a minute; otherwise one is.
func TestAChangedAlertFailsItsStories(t *testing.T) {
	t.Parallel()
	f := readAlertFiles(t)
	rules, err := f.alerts()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LETHE_ALERT_CHANGES") == "" {
		rules = rules[:1]
	}
	n := 0
	for _, r := range rules {
		if out, err := f.try(t, r.Alert, r); err != nil {
			t.Errorf("%s fails as it is: %s", r.Alert, out)
			continue
		}
		for what, changed := range r.changes(t) {
			n++
			if _, err := f.try(t, r.Alert, changed); err == nil {
				t.Errorf("%s: nobody sees that %s:\n%s", r.Alert, what, changed.Expr)
			}
		}
	}
	t.Logf("%d changes of %d alerts were seen", n, len(rules))
}

// changes returns what one might get wrong of a rule.
func (r alertRule) changes(t testing.TB) map[string]alertRule {
	t.Helper()
	list := map[string]alertRule{}
	add := func(what string, do func(*alertRule)) {
		c := r
		do(&c)
		if c.Expr != r.Expr || c.For != r.For || c.Keep != r.Keep {
			list[what] = c
		}
	}
	for what, by := range map[string]time.Duration{"it fires a minute later": time.Minute, "it fires a minute earlier": -time.Minute} {
		add(what, func(c *alertRule) { c.For = longer(t, c.For, by) })
	}
	add("it does not last", func(c *alertRule) { c.Keep = "" })
	for was, is := range map[string]string{" > ": " < ", " == ": " != ", " unless ": " and ", "\nunless ": "\nand ", " and ": " unless ", "\nand ": "\nunless "} {
		add("it reads"+is+"for"+was, func(c *alertRule) { c.Expr = strings.Replace(c.Expr, was, is, 1) })
	}
	add("it is of the last, not the first, comparison", func(c *alertRule) {
		if at := strings.LastIndex(c.Expr, " > "); at >= 0 {
			c.Expr = c.Expr[:at] + " < " + c.Expr[at+3:]
		}
	})
	for i, at := range regexp.MustCompile(`\[\d+[mh]`).FindAllStringIndex(r.Expr, -1) {
		add(fmt.Sprintf("window %d is a minute shorter", i+1), func(c *alertRule) {
			c.Expr = c.Expr[:at[0]+1] + longer(t, c.Expr[at[0]+1:at[1]], -time.Minute) + c.Expr[at[1]:]
		})
	}
	if strings.Contains(r.Annotations["description"], "$value") {
		add("processes are added up", func(c *alertRule) { c.Expr = strings.ReplaceAll(c.Expr, "max by", "sum by") })
	}
	return list
}

// longer returns a duration as Prometheus writes it.
func longer(t testing.TB, text string, by time.Duration) string {
	t.Helper()
	d, err := model.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return (d + model.Duration(by)).String()
}

// try has promtool tell the stories of an alert, of a rule that may be another one.
func (f alertFiles) try(t testing.TB, name string, r alertRule) (string, error) {
	t.Helper()
	var file struct {
		Tests []map[string]any `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(f.stories), &file); err != nil {
		t.Fatal(err)
	}
	var stories []map[string]any
	for _, story := range file.Tests {
		var checks []any
		all, _ := story["alert_rule_test"].([]any)
		for _, c := range all {
			if check, ok := c.(map[string]any); ok && check["alertname"] == name {
				checks = append(checks, c)
			}
		}
		if len(checks) > 0 {
			story["alert_rule_test"] = checks
			stories = append(stories, story)
		}
	}
	dir := t.TempDir()
	for file, data := range map[string]any{
		"rules.yml": map[string]any{"groups": []any{map[string]any{"name": "one", "rules": []any{r}}}},
		"test.yml":  map[string]any{"rule_files": []string{"rules.yml"}, "evaluation_interval": "1m", "tests": stories},
	} {
		text, err := json.Marshal(data)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return promtool(t, nil, "test", "rules", filepath.Join(dir, "test.yml"))
}

func TestTheRunbookNamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	f := readAlertFiles(t)
	whole, begun := runbookCommands(f.runbook)
	if len(whole) < 40 || len(begun) < 5 {
		t.Fatalf("only %d and %d commands are read: %q %q", len(whole), len(begun), whole, begun)
	}
	for _, line := range whole {
		if problem := unknownCommand(line, true); problem != "" {
			t.Errorf("%s: %s", line, problem)
		}
	}
	for _, line := range begun {
		if problem := unknownCommand(line, false); problem != "" {
			t.Errorf("%s: %s", line, problem)
		}
	}
	for _, line := range []string{"lethe lits", "lethe list --dew 1d", "lethe log chek", "lethe status"} {
		if unknownCommand(line, true) == "" {
			t.Errorf("%s passes", line)
		}
	}
}

// runbookCommands returns the commands in blocks, which are whole, and those in
// sentences, which may be but the beginning of one.
func runbookCommands(text string) (whole, begun []string) {
	for _, m := range regexp.MustCompile(`(?m)^ {4,}(lethe [^#|>\n]*)`).FindAllStringSubmatch(text, -1) {
		whole = append(whole, m[1])
	}
	for _, m := range regexp.MustCompile("`(lethe [^`]*)`").FindAllStringSubmatch(text, -1) {
		begun = append(begun, m[1])
	}
	return whole, begun
}

// unknownCommand says what of a command line lethe does not know.
func unknownCommand(line string, whole bool) string {
	root := newRoot(&console{stdin: strings.NewReader(""), stdout: &strings.Builder{}, stderr: &strings.Builder{}})
	cmd, rest, err := root.Find(strings.Fields(line)[1:])
	switch {
	case err != nil:
		return err.Error()
	case cmd == root:
		return "there is no such command"
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return "there is no such command"
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); whole && err != nil {
		return err.Error()
	}
	return ""
}
